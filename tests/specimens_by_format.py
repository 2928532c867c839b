"""Files of every format that is decoded: odd ones, broken ones, cut ones."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import handmade as by_hand
import numpy as np
import numpy.typing as npt
import tifffile
from handmade import saved
from PIL import Image
from specimen import (
    BROKEN,
    CUT,
    HEIGHT,
    UNSUPPORTED,
    WIDTH,
    Pixels,
    Specimen,
    as_rgb,
    grey,
    in_png,
    of_plates,
    on_white,
    overwritten,
    picture,
    turned,
    with_hole,
)

from facelib.reasons import ImageReason


def _good(format: str, name: str, data: bytes, pixels: Pixels, tolerance: int = 0, n_frames: int = 1) -> Specimen:
    return Specimen(f"{format} {name}", data, format, None, pixels, tolerance, n_frames)


def _bad(format: str, name: str, data: bytes, reason: ImageReason) -> Specimen:
    return Specimen(f"{format} {name}", data, format, reason)


def jpeg_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    whole = saved(rgb, "JPEG", quality=95, subsampling=0)
    large = saved(picture(1, 200, 240), "JPEG", quality=95)
    plates = np.dstack([rgb, grey(rgb) // 2])
    cmyk = saved(Image.fromarray(plates, "CMYK"), "JPEG", quality=95)

    def good(name: str, data: bytes, pixels: Pixels = rgb, tolerance: int = 10, n_frames: int = 1) -> Specimen:
        return _good("jpeg", name, data, pixels, tolerance, n_frames)

    bad = partial(_bad, "jpeg")

    yield good("baseline", whole)
    yield good("extended sequential", by_hand.with_frame(whole, 0xC1))
    yield good("progressive", saved(rgb, "JPEG", quality=95, subsampling=0, progressive=True))
    yield good("with halved colours", saved(rgb, "JPEG", quality=95, subsampling=2), tolerance=16)
    yield good("with restart markers", saved(rgb, "JPEG", quality=95, subsampling=0, restart_marker_blocks=3))
    yield good("grey", saved(grey(rgb), "JPEG", quality=95), as_rgb(grey(rgb)))
    yield good("stored as RGB", saved(rgb, "JPEG", quality=95, keep_rgb=True))
    yield good("CMYK with the Adobe marker", cmyk, of_plates(plates))
    yield good("CMYK without it", by_hand.without_segment(cmyk, 0xEE), of_plates(plates))
    yield good("YCCK", by_hand.ycck(plates), of_plates(plates))
    other = Image.fromarray(255 - rgb)
    multi = saved(rgb, "MPO", save_all=True, append_images=[other], quality=95, subsampling=0)
    yield good("of two pictures", multi, n_frames=2)
    yield good("with fill bytes", whole.replace(b"\xff\xc0", b"\xff\xff\xff\xc0"))
    yield good("with bytes after its end", whole + b"trailer" * 50)
    for name, exif in (("text", b"junk" * 30), ("cut", b"MM"), ("looping", b"II*\0\x08\0\0\0\0\0\x08\0\0\0")):
        yield good(f"with {name} EXIF", by_hand.with_segments(whole, by_hand.segment(0xE1, b"Exif\0\0" + exif)))
    for orientation in range(1, 9):
        exif_tags = Image.Exif()
        exif_tags[0x0112] = orientation
        data = saved(rgb, "JPEG", quality=95, subsampling=0, exif=exif_tags)
        yield good(f"of orientation {orientation}", data, turned(rgb, orientation))

    for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7):
        data = by_hand.with_frame(whole, marker)
        yield bad(f"of process {marker:02x}", data, ImageReason.UNSUPPORTED_FORMAT)
    yield bad("of 12 bits", by_hand.with_frame(whole, 0xC1, bits=12), ImageReason.UNSUPPORTED_FORMAT)
    two = by_hand.segment(0xC0, struct.pack(">BHHB6B", 8, 8, 8, 2, 1, 17, 0, 2, 17, 0))
    yield bad("of two components", whole[:2] + two + b"\xff\xd9", ImageReason.UNSUPPORTED_FORMAT)
    yield bad("without a picture", whole[:2] + b"\xff\xfe\0\4hi\xff\xd9", ImageReason.DECODE_ERROR)
    yield bad("without a frame", by_hand.without_segment(whole, 0xC0), ImageReason.DECODE_ERROR)
    for share in (0.02, 0.2, 0.5, 0.9, 0.99):
        yield bad(f"cut at {share:.0%}", large[: int(len(large) * share)], ImageReason.TRUNCATED)
    progressive = saved(picture(1, 200, 240), "JPEG", quality=95, progressive=True)
    yield bad("progressive cut at half", progressive[: len(progressive) // 2], ImageReason.TRUNCATED)


def png_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good, bad = partial(_good, "png"), partial(_bad, "png")
    for interlaced in (False, True):
        yield from _low_bit_pngs(rng, interlaced)
        yield from _full_pngs(rgb, rng, interlaced)
    whole = by_hand.png(rgb, 8, by_hand.RGB)
    noise = by_hand.png(rng.integers(0, 256, (HEIGHT, WIDTH, 3)), 8, by_hand.RGB)
    frames = [Image.fromarray(255 - rgb), Image.fromarray(rgb // 2)]
    yield good("animated", saved(rgb, "PNG", save_all=True, append_images=frames), rgb, n_frames=3)
    animated = saved(rgb, "PNG", save_all=True, append_images=frames, default_image=True)
    yield good("animated with a still", animated, rgb, n_frames=3)
    yield good("with a bad checksum in a comment", in_png(whole, b"\0\0\0\4tEXta\0bc\0\0\0\0"), rgb)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield good(f"of orientation {orientation}", saved(rgb, "PNG", exif=exif), turned(rgb, orientation))
    yield bad("of Apple's variant", in_png(whole, by_hand.png_chunk(b"CgBI", b"\x50\0\x20\x02"), 8), UNSUPPORTED)
    yield bad("with a broken stream", overwritten(noise, noise.index(b"IDAT") + 500, bytes(200)), BROKEN)
    yield bad("without data", by_hand.PNG_START + by_hand.png_header(9, 9) + by_hand.png_chunk(b"IEND", b""), BROKEN)
    yield bad("without area", by_hand.PNG_START + by_hand.png_header(0, 9) + by_hand.png_chunk(b"IEND", b""), BROKEN)
    yield bad("of 3 bits", by_hand.png(grey(rgb), 8, by_hand.GREY).replace(*_patched_depth(3)), BROKEN)
    for share in (0.02, 0.2, 0.5, 0.9, 0.98):
        yield bad(f"cut at {share:.0%}", noise[: int(len(noise) * share)], ImageReason.TRUNCATED)


def _low_bit_pngs(rng: np.random.Generator, interlaced: bool) -> Iterator[Specimen]:
    good = partial(_good, "png")
    palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    kind = " interlaced" if interlaced else ""
    for bits in (1, 2, 4, 8):
        values = rng.integers(0, 1 << bits, (HEIGHT, WIDTH))
        white = (1 << bits) - 1
        data = by_hand.png(values, bits, by_hand.GREY, interlaced=interlaced)
        yield good(f"grey {bits}{kind}", data, as_rgb(values * 255 // white))
        colours = palette[: 1 << bits]
        chunk = (b"PLTE", colours.tobytes())
        data = by_hand.png(values, bits, by_hand.PALETTE, [chunk], interlaced)
        yield good(f"palette {bits}{kind}", data, colours[values])
        alpha = rng.integers(0, 256, 1 << bits, dtype=np.uint8)
        data = by_hand.png(values, bits, by_hand.PALETTE, [chunk, (b"tRNS", alpha.tobytes())], interlaced)
        mixed = on_white(np.dstack([colours[values], alpha[values]]))
        yield good(f"palette {bits} with tRNS{kind}", data, mixed, 1)


def _full_pngs(rgb: Pixels, rng: np.random.Generator, interlaced: bool) -> Iterator[Specimen]:
    good = partial(_good, "png")
    kind = " interlaced" if interlaced else ""
    plain, colour, rgba, grey_alpha = (_deep(rng, *n) for n in ((), (3,), (4,), (2,)))
    yield good(f"grey 16{kind}", by_hand.png(plain, 16, by_hand.GREY, (), interlaced), as_rgb(_eight(plain)))
    yield good(f"RGB 16{kind}", by_hand.png(colour, 16, by_hand.RGB, (), interlaced), _eight(colour))
    yield good(f"RGBA 16{kind}", by_hand.png(rgba, 16, by_hand.RGBA, (), interlaced), on_white(rgba, 65535), 1)
    mixed = on_white(grey_alpha[:, :, [0, 0, 0, 1]], 65535)
    yield good(f"grey+alpha 16{kind}", by_hand.png(grey_alpha, 16, by_hand.GREY_ALPHA, (), interlaced), mixed, 2)
    yield good(f"RGB 8{kind}", by_hand.png(rgb, 8, by_hand.RGB, (), interlaced), rgb)
    four = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    yield good(f"RGBA 8{kind}", by_hand.png(four, 8, by_hand.RGBA, (), interlaced), on_white(four), 1)
    two = four[:, :, :2]
    mixed = on_white(two[:, :, [0, 0, 0, 1]])
    yield good(f"grey+alpha 8{kind}", by_hand.png(two, 8, by_hand.GREY_ALPHA, (), interlaced), mixed, 1)
    yield from _pngs_with_hidden_colour(plain, colour, interlaced)


def _pngs_with_hidden_colour(
    plain: npt.NDArray[np.uint16], colour: npt.NDArray[np.uint16], interlaced: bool
) -> Iterator[Specimen]:
    good = partial(_good, "png")
    kind = " interlaced" if interlaced else ""
    for bits, samples in ((8, plain >> 8), (16, plain)):
        hidden = (b"tRNS", struct.pack(">H", samples[3, 4]))
        data = by_hand.png(samples, bits, by_hand.GREY, [hidden], interlaced)
        full = as_rgb(_eight(samples) if bits == 16 else samples)
        yield good(f"grey {bits} with tRNS{kind}", data, with_hole(full, samples == samples[3, 4]))
    for bits, samples in ((8, colour >> 8), (16, colour)):
        hidden = (b"tRNS", samples[3, 4].astype(">u2").tobytes())
        data = by_hand.png(samples, bits, by_hand.RGB, [hidden], interlaced)
        full = _eight(samples) if bits == 16 else samples.astype(np.uint8)
        yield good(f"RGB {bits} with tRNS{kind}", data, with_hole(full, (samples == samples[3, 4]).all(axis=2)))


def _deep(rng: np.random.Generator, *channels: int) -> npt.NDArray[np.uint16]:
    return rng.integers(0, 65536, (HEIGHT, WIDTH, *channels), dtype=np.uint16)


def _eight(samples: npt.NDArray[np.uint16]) -> Pixels:
    return np.rint(samples * (255 / 65535)).astype(np.uint8)


def _patched_depth(bits: int) -> tuple[bytes, bytes]:
    header = by_hand.png_header(WIDTH, HEIGHT, 8, by_hand.GREY)
    return header, by_hand.png_header(WIDTH, HEIGHT, bits, by_hand.GREY)


def webp_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good = partial(_good, "webp")

    rgba = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    frames = [Image.fromarray(255 - rgb), Image.fromarray(rgb // 2)]
    lossless = saved(rgb, "WEBP", lossless=True)
    yield good("lossy", saved(rgb, "WEBP", quality=95), rgb, 16)
    yield good("lossless", lossless, rgb)
    yield good("with alpha", saved(rgba, "WEBP", lossless=True, exact=True), on_white(rgba), 1)
    animated = saved(rgb, "WEBP", lossless=True, save_all=True, append_images=frames)
    yield good("animated", animated, rgb, n_frames=3)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield good(
            f"of orientation {orientation}", saved(rgb, "WEBP", lossless=True, exif=exif), turned(rgb, orientation)
        )
    for share in (0.2, 0.5, 0.9):
        for name, data in (("", lossless), ("lossy ", saved(rgba[:, :, :3], "WEBP")), ("animated ", animated)):
            cut = data[: int(len(data) * share)]
            yield Specimen(f"webp {name}cut at {share:.0%}", cut, "webp", ImageReason.TRUNCATED)
    yield Specimen("webp with a broken stream", overwritten(lossless, 40, b"\xff" * 60), "webp", BROKEN)


def gif_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good = partial(_good, "gif")

    palette = rng.integers(0, 256, (128, 3), dtype=np.uint8)
    local = rng.integers(0, 256, (128, 3), dtype=np.uint8)
    indices = rng.integers(0, 128, (HEIGHT, WIDTH))
    frame = by_hand.gif_frame(indices)
    clear = b"!\xf9\4\1\0\0" + bytes([int(indices[5, 6])]) + b"\0"
    whole = by_hand.gif(WIDTH, HEIGHT, palette.tobytes(), frame)
    yield good("plain", whole, palette[indices])
    yield good(
        "with a palette of its frame",
        by_hand.gif(WIDTH, HEIGHT, palette.tobytes(), by_hand.gif_frame(indices, palette=local.tobytes())),
        local[indices],
    )
    transparent = with_hole(palette[indices], indices == indices[5, 6])
    yield good("transparent", by_hand.gif(WIDTH, HEIGHT, palette.tobytes(), clear, frame), transparent)
    others = [by_hand.gif_frame(indices[::-1]), by_hand.gif_frame(indices[:9, :9], 3, 4)]
    yield good(
        "animated", by_hand.gif(WIDTH, HEIGHT, palette.tobytes(), clear, frame, clear, *others), transparent, n_frames=3
    )
    yield good("larger than its screen", by_hand.gif(9, 9, palette.tobytes(), frame), palette[indices])
    quantised = Image.fromarray(rgb).quantize(64)
    yield good("interlaced", saved(quantised, "GIF", interlace=1), np.asarray(quantised.convert("RGB")))
    yield good("without its last byte", whole[:-1], palette[indices])
    yield Specimen("gif without a picture", by_hand.gif(9, 9, palette.tobytes()), "gif", BROKEN)
    for share in (0.1, 0.3, 0.6, 0.95):
        cut = whole[: int(len(whole) * share)]
        yield Specimen(f"gif cut at {share:.0%}", cut, "gif", ImageReason.TRUNCATED)


def bmp_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good = partial(_good, "bmp")

    bgr = rgb[:, :, ::-1]
    for bits in (1, 4, 8):
        values = rng.integers(0, 1 << bits, (HEIGHT, WIDTH))
        colours = rng.integers(0, 256, (1 << bits, 3), dtype=np.uint8)
        quads = np.pad(colours[:, ::-1], ((0, 0), (0, 1))).tobytes()
        rows = by_hand.bmp_rows(values, bits)
        yield good(f"of {bits} bits", by_hand.bmp(WIDTH, HEIGHT, bits, rows, quads), colours[values])
        triples = colours[:, ::-1].tobytes()
        yield good(f"of OS2, {bits} bits", by_hand.bmp(WIDTH, HEIGHT, bits, rows, triples, core=True), colours[values])
        if bits > 1:
            coded = by_hand.bmp(WIDTH, HEIGHT, bits, by_hand.rle(values, bits), quads, 1 if bits == 8 else 2)
            yield good(f"run-length coded, {bits} bits", coded, colours[values])
            yield Specimen(f"bmp run-length coded, {bits} bits, cut", coded[: len(coded) // 2], "bmp", CUT)
    plain = by_hand.bmp(WIDTH, HEIGHT, 24, by_hand.bmp_rows(bgr, 8))
    yield good("of 24 bits", plain, rgb)
    yield good("of 24 bits, top down", by_hand.bmp(WIDTH, -HEIGHT, 24, by_hand.bmp_rows(bgr[::-1], 8)), rgb)
    four = np.dstack([bgr, np.zeros_like(bgr[:, :, 0])])
    yield good("of 32 bits", by_hand.bmp(WIDTH, HEIGHT, 32, by_hand.bmp_rows(four, 8)), rgb)
    fives = (rgb >> 3).astype(np.uint16)
    packed = fives[:, :, 0] << 10 | fives[:, :, 1] << 5 | fives[:, :, 2]
    rows = b"".join(row.astype("<u2").tobytes() for row in packed[::-1])
    expected = np.rint(fives * (255 / 31)).astype(np.uint8)
    yield good("of 16 bits", by_hand.bmp(WIDTH, HEIGHT, 16, rows), expected, 1)
    yield Specimen("bmp of compression 5", by_hand.bmp(9, 9, 24, bytes(400), b"", 5), "bmp", UNSUPPORTED)
    yield Specimen("bmp without area", by_hand.bmp(0, 9, 24, b""), "bmp", BROKEN)
    for end in (14, 30, 60, len(plain) // 2, len(plain) - 4):
        yield Specimen(f"bmp cut at {end} bytes", plain[:end], "bmp", CUT)


def tiff_specimens(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    for make in (_tiff_layouts, _tiff_samples, _tiff_failures):
        yield from make(rgb, rng)


def _tiff(samples: npt.NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def _tiff_layouts(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good = partial(_good, "tiff")
    whole = _tiff(rgb, photometric="rgb")
    yield good("plain", whole, rgb)
    yield good("big-endian", _tiff(rgb, photometric="rgb", byteorder=">"), rgb)
    yield good("BigTIFF", _tiff(rgb, photometric="rgb", bigtiff=True), rgb)
    yield good("tiled", _tiff(rgb, photometric="rgb", tile=(16, 32)), rgb)
    yield good("in strips", _tiff(rgb, photometric="rgb", rowsperstrip=3), rgb)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    yield good("of separate planes", _tiff(planes, photometric="rgb", planarconfig="separate"), rgb)
    for compression in ("packbits", "tiff_lzw", "tiff_adobe_deflate"):
        yield good(f"compressed by {compression}", saved(rgb, "TIFF", compression=compression), rgb)
    yield good("compressed by jpeg", saved(rgb, "TIFF", compression="jpeg", quality=95), rgb, 16)
    pages = [Image.fromarray(255 - rgb), Image.fromarray(rgb // 2)]
    multi = saved(rgb, "TIFF", save_all=True, append_images=pages)
    yield good("of three pages", multi, rgb, n_frames=3)
    for orientation in range(1, 9):
        data = saved(rgb, "TIFF", tiffinfo={274: orientation})
        yield good(f"of orientation {orientation}", data, turned(rgb, orientation))
    yield good("whose directories form a loop", _looping(whole), rgb)


def _tiff_samples(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    good = partial(_good, "tiff")
    for order in "<>":
        colour = _deep(rng, 3)
        eight = _eight(colour)
        yield good(f"RGB 16 {order}", _tiff(colour, photometric="rgb", byteorder=order), eight)
        deflated = _tiff(colour, photometric="rgb", byteorder=order, compression="zlib", predictor=True)
        yield good(f"RGB 16 {order} compressed", deflated, eight)
        one = _tiff(colour[:, :, 0], photometric="minisblack", byteorder=order)
        yield good(f"grey 16 {order}", one, as_rgb(eight[:, :, 0]))
    inverse = _tiff(65535 - colour[:, :, 0], photometric="miniswhite")
    yield good("grey 16, white is zero", inverse, as_rgb(eight[:, :, 0]), 1)
    yield good("grey 8, white is zero", _tiff(255 - eight[:, :, 0], photometric="miniswhite"), as_rgb(eight[:, :, 0]))
    unit = rng.random((HEIGHT, WIDTH)).astype(np.float32)
    yield good("float up to 1", _tiff(unit, photometric="minisblack"), as_rgb(np.rint(unit * 255)), 1)
    yield good("float up to 255", _tiff(unit * 255, photometric="minisblack"), as_rgb(np.rint(unit * 255)), 1)
    plates = np.dstack([rgb, grey(rgb) // 2])
    yield good("CMYK", _tiff(plates, photometric="separated"), of_plates(plates), 1)
    rgba = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    yield good("RGBA", _tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]), on_white(rgba), 1)
    two = rgba[:, :, :2]
    data = _tiff(two, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig")
    yield good("grey+alpha", data, on_white(two[:, :, [0, 0, 0, 1]]), 1)
    quantised = Image.fromarray(rgb).quantize(64)
    yield good("palette", saved(quantised, "TIFF"), np.asarray(quantised.convert("RGB")))


def _tiff_failures(rgb: Pixels, rng: np.random.Generator) -> Iterator[Specimen]:
    bad = partial(_bad, "tiff")
    whole = _tiff(rgb, photometric="rgb")
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    deep_planes = _tiff(planes.astype(np.uint16), photometric="rgb", planarconfig="separate")
    yield bad("of separate 16-bit planes", deep_planes, UNSUPPORTED)
    yield bad("big-endian BigTIFF", _tiff(rgb, photometric="rgb", bigtiff=True, byteorder=">"), UNSUPPORTED)
    yield bad("of RGB floats", _tiff(rgb.astype(np.float32), photometric="rgb"), UNSUPPORTED)
    yield bad("of 32-bit integers", _tiff(grey(rgb).astype(np.uint32), photometric="minisblack"), UNSUPPORTED)
    yield bad("without a size", by_hand.tiff({258: (3, 1, 8)}), BROKEN)
    for share in (0.01, 0.2, 0.5, 0.95):
        yield bad(f"cut at {share:.0%}", whole[: int(len(whole) * share)], CUT)
    lzw = saved(rgb, "TIFF", compression="tiff_lzw")
    yield bad("compressed, cut at half", lzw[: len(lzw) // 2], CUT)


def _looping(data: bytes) -> bytes:
    """A TIFF whose first directory names itself as the next."""
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    return overwritten(data, first + 2 + 12 * count, struct.pack("<I", first))
