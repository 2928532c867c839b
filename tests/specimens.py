"""Odd, broken and hostile image files, generated, with what decoding each must give."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import handmade as by_hand
import numpy as np
from handmade import saved
from PIL import Image
from specimen import BROKEN, CUT, UNSUPPORTED, Pixels, Specimen, in_png, overwritten, picture
from specimens_by_format import (
    bmp_specimens,
    gif_specimens,
    jpeg_specimens,
    png_specimens,
    tiff_specimens,
    webp_specimens,
)

from facelib.images.decode import DecodeSettings
from facelib.reasons import ImageReason


def specimens(seed: int = 0) -> list[Specimen]:
    """All of them, in a fixed order."""
    rng = np.random.default_rng(seed)
    makers = (
        jpeg_specimens,
        png_specimens,
        webp_specimens,
        gif_specimens,
        bmp_specimens,
        tiff_specimens,
        _others,
        _bombs,
        _limits,
    )
    return [specimen for make in makers for specimen in make(picture(seed), rng)]


def _others(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    def other(name: str, data: bytes) -> Specimen:
        return Specimen(f"other {name}", data, name, UNSUPPORTED)

    yield other("ppm", saved(rgb, "PPM"))
    yield other("ico", saved(Image.fromarray(rgb).resize((32, 32)), "ICO"))
    yield other("jpeg2000", saved(rgb, "JPEG2000"))
    yield other("avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99))
    yield other("heic", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(99))
    yield other("psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(99))
    yield other("jxl", b"\xff\x0a" + bytes(40))
    yield other("svg", b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>')
    yield other("qoi", b"qoif" + struct.pack(">II", 9, 9) + bytes(40))
    yield other("pcx", saved(rgb, "PCX"))
    yield other("sgi", saved(rgb, "SGI"))
    yield other("dds", saved(rgb, "DDS"))
    nothing = {
        "text": b"These are the notes of the shoot.\n" * 40,
        "text that starts as a BMP": b"BM is the mark of our studio; these are its notes.\n" * 9,
        "text that starts as a PPM": b"P5 is the room where we met.\n" * 9,
        "text that starts as a TIFF": b"II was the second of that name.\n" * 9,
        "a web page": b"<!DOCTYPE html><html><body><svg></svg></body></html>",
        "a film": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(99),
        "a document": b"%PDF-1.4\n" + bytes(99),
        "a sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(99),
        "zeros": bytes(512),
        "noise": b"\x01" + rng.integers(0, 256, 511, dtype=np.uint8).tobytes(),
        "two bytes of a JPEG": b"\xff\xd8",
    }
    for name, data in nothing.items():
        yield Specimen(name, data, None, ImageReason.NOT_AN_IMAGE)


def _bombs(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    """Small files that cost a careless reader minutes or gigabytes."""
    jpeg = saved(rgb, "JPEG", quality=95, subsampling=0)
    progressive = saved(rgb, "JPEG", quality=95, subsampling=0, progressive=True)
    scans = progressive[progressive.rindex(b"\xff\xda") : -2] * 200
    yield Specimen("jpeg of hundreds of scans", progressive[:-2] + scans + b"\xff\xd9", "jpeg", BROKEN)
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(5000, 9900))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 4900) + entries + bytes(4)
    data = by_hand.with_segments(jpeg, by_hand.segment(0xE1, exif))
    yield Specimen("jpeg whose EXIF values overlap", data, "jpeg", None, rgb, 10)
    zeros = zlib.compress(bytes(30_000_000), 9)
    png = by_hand.png(rgb, 8, by_hand.RGB)
    for kind, head in ((b"iCCP", b"icc\0\0"), (b"zTXt", b"text\0\0"), (b"iTXt", b"text\0\1\0\0\0")):
        bomb = in_png(png, by_hand.png_chunk(kind, head + zeros))
        yield Specimen(f"png with 30 MB of {kind.decode()}", bomb, "png", None, rgb)
    yield Specimen("png of 50,000 chunks", in_png(png, by_hand.png_chunk(b"tEXt", b"a\0b") * 50_000), "png", None, rgb)
    yield Specimen("jpeg cut and filled with 0xff", jpeg[:-200] + b"\xff" * 1_000_000, "jpeg", CUT)
    yield Specimen("jpeg cut and filled with zeros", jpeg[:-200] + bytes(200), "jpeg", CUT)
    palette = rng.integers(0, 256, (128, 3), dtype=np.uint8)
    dot = by_hand.gif_frame(np.ones((1, 1), int))
    frames = by_hand.gif(1, 1, palette.tobytes(), *[dot] * 20_000)
    yield Specimen("gif of 20,000 frames", frames, "gif", None, palette[[[1]]], 0, 20_000)
    comment = b"!\xfe" + 100_000 * b"\1x" + b"\0"
    yield Specimen(
        "gif with a long comment", by_hand.gif(1, 1, palette.tobytes(), comment, dot), "gif", None, palette[[[1]]]
    )
    tags = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 262: (3, 1, 1), 277: (3, 1, 1)}
    strips = {273: (4, 400_000, 8), 278: (3, 1, 1), 279: (4, 400_000, 8)}
    yield Specimen("tiff of 400,000 strips", by_hand.tiff(tags | strips, bytes(1_700_000)), "tiff", BROKEN)
    overlapping = dict.fromkeys(range(5000, 7000), (7, 1_000_000, 8))
    one = {273: (4, 1, 8), 278: (3, 1, 8), 279: (4, 1, 64)}
    yield Specimen("tiff whose values overlap", by_hand.tiff(tags | one | overlapping, bytes(1_000_000)), "tiff")
    first = by_hand.tiff(tags | one, bytes(64))
    at = len(first)
    chain = b"".join(struct.pack("<HI", 0, at + 6 * (n + 1)) for n in range(100_000))
    size = 10 + 12 * len(tags | one)
    yield Specimen(
        "tiff of 100,000 pages", overwritten(first, size, struct.pack("<I", at)) + chain, "tiff", n_frames=65_535
    )


def _limits(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    too_many = ImageReason.TOO_MANY_PIXELS
    jpeg = saved(rgb, "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    palette = bytes(384)
    size = (60_000, 60_000)
    tags = {256: (4, 1, size[0]), 257: (4, 1, size[1]), 258: (3, 1, 8), 262: (3, 1, 1), 273: (4, 1, 8), 279: (4, 1, 9)}
    canvas = struct.pack("<I", 16_383)[:3]
    headers = {
        "jpeg": overwritten(jpeg, at, struct.pack(">HH", *size)),
        "png": by_hand.PNG_START + by_hand.png_header(*size) + by_hand.png_chunk(b"IEND", b""),
        "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + canvas + canvas,
        "gif": by_hand.gif(*size, palette, by_hand.gif_frame(np.ones((1, 1), int))),
        "bmp": by_hand.bmp(*size, 24, b""),
        "tiff": by_hand.tiff(tags, bytes(64)),
    }
    for name, data in headers.items():
        yield Specimen(f"{name} of too many pixels", data, name, too_many)
    beyond = by_hand.gif(9, 9, palette, by_hand.gif_frame(np.ones((1, 1), int), 60_000, 60_000))
    yield Specimen("gif whose frame lies far out", beyond, "gif", too_many)
    few = DecodeSettings(max_pixels=rgb.size // 3 - 1)
    yield Specimen("one pixel too many", saved(rgb, "PNG"), "png", too_many, settings=few)
    yield Specimen("too large", jpeg, None, ImageReason.TOO_LARGE, settings=DecodeSettings(max_object_bytes=99))
    yield Specimen("empty", b"", None, ImageReason.EMPTY)
    yield Specimen("a plain picture without a face", saved(np.full((64, 64, 3), 90, np.uint8), "PNG"), "png")
