"""Image files written byte by byte, for what no library writes: the oracle of the decoders' tests."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[Any]

PNG_START = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def saved(picture: Image.Image | Samples, format: str, **options: Any) -> bytes:
    """The file Pillow writes."""
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, bits: int = 8, colour: int = RGB, interlaced: bool = False) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def png(
    samples: Samples, bits: int, colour: int, extra: Sequence[tuple[bytes, bytes]] = (), interlaced: bool = False
) -> bytes:
    """A PNG of samples (h, w) or (h, w, channels); `extra` chunks stand between header and data."""
    height, width = samples.shape[:2]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [samples[top::down, left::right] for top, left, down, right in passes]
    data = b"".join(b"\0" + _packed(row, bits) for part in parts if part.size for row in part)
    return b"".join(
        [
            PNG_START,
            png_header(width, height, bits, colour, interlaced),
            *(png_chunk(kind, body) for kind, body in extra),
            png_chunk(b"IDAT", zlib.compress(data)),
            png_chunk(b"IEND", b""),
        ]
    )


def _packed(row: Samples, bits: int) -> bytes:
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    planes = [(row >> shift) & 1 for shift in range(bits - 1, -1, -1)]
    return np.packbits(np.stack(planes, axis=-1).ravel().astype(np.uint8)).tobytes()


def bmp(
    width: int, height: int, bits: int, rows: bytes, palette: bytes = b"", compression: int = 0, core: bool = False
) -> bytes:
    """A BMP of encoded rows, bottom row first where `height` is positive; `core`: the header of OS/2."""
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 0, 0, 0, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def bmp_rows(samples: Samples, bits: int) -> bytes:
    """Rows padded to four bytes, bottom row first."""
    rows = (_packed(row, bits) for row in samples[::-1])
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def rle(samples: Samples, bits: int) -> bytes:
    """Run-length coded rows (BI_RLE8, BI_RLE4) of runs of one value, with an end-of-line after each row."""
    data = bytearray()
    for row in samples[::-1]:
        for value in row.tolist():
            data += bytes([1, value if bits == 8 else value << 4])
        data += b"\0\0"
    return bytes(data) + b"\0\1"


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments inserted after its first two bytes."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """A JPEG without its first segment of that kind."""
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def with_frame(jpeg: bytes, marker: int = 0xC0, bits: int = 8) -> bytes:
    """A baseline JPEG whose frame header claims another process or precision."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 1] + bytes([marker]) + jpeg[at + 2 : at + 4] + bytes([bits]) + jpeg[at + 5 :]


def ycck(plates: Samples, quality: int = 95) -> bytes:
    """A JPEG of CMYK plates (h, w, 4) as Adobe writes it: YCC of the inverse plates, transform 2 in its marker."""
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(plates[:, :, :3])).convert("YCbCr"))
    mixed = np.dstack([255 - ycc, plates[:, :, 3]])
    data = bytearray(saved(Image.fromarray(mixed, "CMYK"), "JPEG", quality=quality))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def gif_frame(indices: Samples, left: int = 0, top: int = 0, palette: bytes = b"") -> bytes:
    """An image block of 7-bit indices, each coded as itself with a clear code every 100 pixels."""
    height, width = indices.shape
    flags = 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0
    codes = []
    for n, value in enumerate(indices.ravel().tolist()):
        codes += [128, value] if n % 100 == 0 else [value]
    packed = sum(code << 8 * n for n, code in enumerate([*codes, 129])).to_bytes(len(codes) + 1, "little")
    blocks = b"".join(bytes([len(packed[i : i + 255])]) + packed[i : i + 255] for i in range(0, len(packed), 255))
    return b"," + struct.pack("<4HB", left, top, width, height, flags) + palette + b"\7" + blocks + b"\0"


def gif(width: int, height: int, palette: bytes, *blocks: bytes) -> bytes:
    """A GIF of a global palette of 128 colours and the given blocks."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + palette + b"".join(blocks) + b";"


def tiff(tags: dict[int, tuple[int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of one directory: tag to type, count and value field; `tail` follows the directory."""
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + tail
