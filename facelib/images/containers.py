"""What each file format says before its pixels are decoded, and the part of the file that the pixels depend on.

Only that part reaches the decoder, so that metadata, however large or broken, cost neither time nor the picture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from facelib.images.exif import Exif, exif_of, read_exif
from facelib.images.formats import UnreadableError
from facelib.images.jpeg import read_jpeg
from facelib.images.tiff import MAX_PAGES, TiffBytes
from facelib.reasons import ImageReason

MAX_STRIPS = 262_144
"""Strips or tiles of a TIFF; a decoder that lists them needs some 400 bytes for each."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_ENDINGS = {"jpeg": b"\xff\xd9", "png": _PNG_END, "gif": b"\0;"}
"""A file that ends like this was not cut off, whatever its lengths say."""
_PNG_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_PLANAR = 256, 257, 258, 284
_TIFF_DATA = ((273, 279), (324, 325))


@dataclass(frozen=True)
class Container:
    """Facts of one file, none of which needs its pixels.

    `width_px`, `height_px`: as stored. `n_frames`: frames or pages, of GIF and TIFF counted up to 65,535.
    `exif`: what EXIF says. `stream`: what the decoder needs. `is_cut_off`: whether the bytes end before the file does.
    `jpeg_quality`: 1 to 100, None for other formats.
    """

    width_px: int
    height_px: int
    n_frames: int
    exif: Exif
    stream: bytes
    is_cut_off: bool
    jpeg_quality: int | None = None


def read_container(name: str, data: bytes) -> Container:
    """Facts of bytes of the format `name`, one of FORMATS. UnreadableError where they have none."""
    has_ending = name in _ENDINGS and data.endswith(_ENDINGS[name])
    try:
        found = _READERS[name](data)
    except (struct.error, IndexError, EOFError) as error:
        reason = ImageReason.DECODE_ERROR if has_ending else ImageReason.TRUNCATED
        raise UnreadableError(reason, "header ends early") from error
    if found.is_cut_off and has_ending:
        found = replace(found, is_cut_off=False)
    if found.width_px < 1 or found.height_px < 1:
        raise UnreadableError(ImageReason.DECODE_ERROR, "picture without an area")
    return found


def _jpeg(data: bytes) -> Container:
    header = read_jpeg(data)
    exif = read_exif(header.exif)
    size = header.width_px, header.height_px
    return Container(*size, header.n_pictures, exif, header.stream, not header.has_end, header.quality)


def _png(data: bytes) -> Container:
    """W3C PNG, third edition, including its animations (acTL, fcTL)."""
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind == b"CgBI":
        raise UnreadableError(ImageReason.UNSUPPORTED_FORMAT, "CgBI variant of PNG")
    if kind != b"IHDR":
        raise UnreadableError(ImageReason.DECODE_ERROR, "PNG without header")
    exif, n_frames, first_is_default, has_data = None, 1, True, False
    parts = [(0, 8)]
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind in _PNG_NEEDED:
            start = parts.pop()[0] if parts[-1][1] == at else at
            parts.append((start, end))
            has_data = has_data or kind == b"IDAT"
        elif kind == b"acTL" and not has_data:
            n_frames = max(1, struct.unpack_from(">I", data, at + 8)[0])
        elif kind == b"fcTL" and not has_data:
            first_is_default = False
        elif kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        elif kind == b"IEND" or not kind.isalpha():
            break
        at = end
    is_cut_off = at + 8 > len(data)
    n_frames += n_frames > 1 and first_is_default
    stream = b"".join([*(data[start:end] for start, end in parts), _PNG_END])
    return Container(width, height, n_frames, read_exif(exif), stream, is_cut_off)


def _webp(data: bytes) -> Container:
    """RFC 9649."""
    size = None
    exif = None
    n_frames = 0
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if size is None:
            size = _webp_size(kind, data, at + 8)
        if kind == b"ANMF":
            n_frames += 1
        elif kind == b"EXIF" and exif is None:
            exif = data[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)
    if size is None:
        raise EOFError
    is_cut_off = int.from_bytes(data[4:8], "little") + 8 > len(data)
    return Container(*size, max(1, n_frames), read_exif(exif), data, is_cut_off)


def _webp_size(kind: bytes, data: bytes, at: int) -> tuple[int, int]:
    """Width and height in a file's first chunk."""
    if kind == b"VP8X":
        fields = struct.unpack_from("<4xHBHB", data, at)
        return fields[0] + (fields[1] << 16) + 1, fields[2] + (fields[3] << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, at + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, at + 6)
        return width & 0x3FFF, height & 0x3FFF
    raise UnreadableError(ImageReason.DECODE_ERROR, "WebP without picture")


def _gif(data: bytes) -> Container:
    """GIF89a. A first frame that reaches beyond the screen enlarges it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = tables_end = 13 + _colours(flags)
    control = first = b""
    n_frames = 0
    is_cut_off = False
    try:
        while n_frames < MAX_PAGES and data[at] != 0x3B:
            start = at
            if data[at] == 0x21:
                at = _after_blocks(data, at + 2)
                if data[start + 1] == 0xF9 and not n_frames:
                    control = data[start:at]
            elif data[at] == 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", data, at + 1)
                n_frames += 1
                if n_frames == 1:
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                    first = data[start:]
                at = _after_blocks(data, at + 11 + _colours(flags))
                if n_frames == 1:
                    first = data[start:at]
            else:
                at += 1
    except (IndexError, struct.error):
        is_cut_off = True
    if not first and is_cut_off:
        raise EOFError
    if not first:
        raise UnreadableError(ImageReason.DECODE_ERROR, "GIF without picture")
    screen = data[:6] + struct.pack("<HH", width, height) + data[10:tables_end]
    return Container(width, height, n_frames, Exif(), screen + control + first + b";", is_cut_off)


def _colours(flags: int) -> int:
    """Bytes of a GIF colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Where a chain of GIF sub-blocks, up to 255 bytes each, ends."""
    while size := data[at]:
        at += size + 1
    return at + 1


def _bmp(data: bytes) -> Container:
    """Windows and OS/2 bitmaps: BITMAPCOREHEADER (12 bytes) or BITMAPINFOHEADER and its successors."""
    file_bytes, start, header_bytes = struct.unpack_from("<I4xII", data, 2)
    if header_bytes == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<IiHHI", data, 18)
    height = abs(height)
    is_plain = compression in (0, 3)
    needed = start + (width * bits + 31) // 32 * 4 * height if is_plain else file_bytes
    return Container(width, height, 1, Exif(), data, needed > len(data))


def _tiff(data: bytes) -> Container:
    """TIFF 6.0 and BigTIFF."""
    if data.startswith(b"MM\0+"):  # which Pillow does not tell from a classic TIFF
        raise UnreadableError(ImageReason.UNSUPPORTED_FORMAT, "big-endian BigTIFF")
    block = TiffBytes(data)
    tags = block.tags(block.first)
    width, height = block.number(tags.get(_TIFF_WIDTH)), block.number(tags.get(_TIFF_HEIGHT))
    if width is None or height is None:
        raise UnreadableError(ImageReason.DECODE_ERROR, "TIFF without a size")
    strips = [(tags[offsets], tags[sizes]) for offsets, sizes in _TIFF_DATA if offsets in tags and sizes in tags]
    if any(offsets[1] > MAX_STRIPS for offsets, _ in strips):
        raise UnreadableError(ImageReason.DECODE_ERROR, f"more than {MAX_STRIPS} strips")
    if block.number(tags.get(_TIFF_PLANAR)) == 2 and _TIFF_BITS in tags and max(block.numbers(tags[_TIFF_BITS])) > 8:
        raise UnreadableError(ImageReason.UNSUPPORTED_FORMAT, "TIFF of separate planes with more than 8 bits")
    is_cut_off = any(_reaches_beyond(block, offsets, sizes, len(data)) for offsets, sizes in strips)
    return Container(width, height, block.count_directories(), exif_of(block, tags), data, is_cut_off)


def _reaches_beyond(
    block: TiffBytes, offsets: tuple[int, int, bytes], sizes: tuple[int, int, bytes], length: int
) -> bool:
    try:
        ends = (a + n for a, n in zip(block.numbers(offsets), block.numbers(sizes), strict=False))
        return max(ends, default=0) > length
    except (struct.error, KeyError):
        return True


_READERS: dict[str, Callable[[bytes], Container]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "bmp": _bmp,
    "tiff": _tiff,
}
