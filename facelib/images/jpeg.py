"""JPEG header facts (ITU-T T.81, annex B) and the quality that quantisation tables stand for."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.images.formats import UnreadableError
from facelib.images.tiff import TiffBytes
from facelib.reasons import ImageReason

MAX_SCANS = 100
"""Encoders write up to about twenty; each costs as much as a small picture of the same size."""

_SOS, _DQT, _DHT, _DRI, _EOI = 0xDA, 0xDB, 0xC4, 0xDD, 0xD9
_NEEDED = frozenset({_DQT, _DHT, _DRI})
_DECODED_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES = {
    0xC3: "lossless JPEG",
    0xC5: "hierarchical JPEG",
    0xC6: "hierarchical JPEG",
    0xC7: "hierarchical lossless JPEG",
    0xC9: "arithmetic-coded JPEG",
    0xCA: "arithmetic-coded JPEG",
    0xCB: "arithmetic-coded lossless JPEG",
    0xCD: "arithmetic-coded hierarchical JPEG",
    0xCE: "arithmetic-coded hierarchical JPEG",
    0xCF: "arithmetic-coded hierarchical lossless JPEG",
    0xF7: "JPEG-LS",
}
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_MPF_COUNT = 0xB001

# ITU-T T.81, tables K.1 and K.2, in the zigzag order of a file
_LUMINANCE = (
    "16 11 12 14 12 10 16 14 13 14 18 17 16 19 24 40 26 24 22 22 24 49 35 37 29 40 58 51 61 60 57 51 "
    "56 55 64 72 92 78 64 68 87 69 55 56 80 109 81 87 95 98 103 104 103 62 77 113 121 112 100 120 92 101 103 99"
)
_CHROMINANCE = "17 18 18 24 21 24 47 26 26 47 99 66 56 66" + 50 * " 99"


@dataclass(frozen=True)
class JpegHeader:
    """What precedes the first scan.

    `width_px`, `height_px`: as stored. `quality`: 1 to 100, None without a table. `exif`: the first EXIF
    block, with its prefix. `n_pictures`: more than one in a multi-picture file. `stream`: the file without the segments
    that pixels do not depend on. `has_end`: whether an end-of-image marker follows.
    """

    width_px: int
    height_px: int
    quality: int | None
    exif: bytes | None
    n_pictures: int
    stream: bytes
    has_end: bool


def read_jpeg(data: bytes) -> JpegHeader:
    """Header of JPEG bytes. EOFError or struct.error where it ends early, UnreadableError where it has no picture."""
    kept = [data[:2]]
    tables: dict[int, bytes] = {}
    frame = exif = None
    is_progressive = False
    n_pictures = 1
    at = 2
    while True:
        marker, at, end = _segment(data, at)
        body = data[at + 4 : end]
        if marker == _SOS:
            break
        if marker in _DECODED_FRAMES or marker in _OTHER_FRAMES:
            if frame is not None:
                raise _broken("two frame headers")
            frame = _frame(marker, body)
            is_progressive = marker == 0xC2
        elif marker == _DQT:
            tables |= _tables(body)
        elif marker == 0xE1 and exif is None and body.startswith(b"Exif\0\0"):
            exif = body
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            n_pictures = _mpf_count(body[4:])
        if marker in _NEEDED or marker in _DECODED_FRAMES or _tells_colours(marker, body):
            kept.append(data[at:end])
        at = end
    if frame is None:
        raise _broken("no frame header")
    height, width, table_ids = frame
    is_one_scan = not is_progressive and body[:1] == bytes([len(table_ids)])  # whatever follows is not decoded
    if not is_one_scan and data.count(b"\xff\xda", at) > MAX_SCANS:
        raise _broken(f"more than {MAX_SCANS} scans")
    kept.append(data[at:])
    has_end = data.rfind(b"\xff\xd9", at) >= 0
    return JpegHeader(width, height, _quality(tables, table_ids), exif, n_pictures, b"".join(kept), has_end)


def estimate_quality(luminance: npt.ArrayLike, chrominance: npt.ArrayLike | None = None) -> int:
    """Quality, 1 to 100, whose quantisation tables are nearest to these, (64,) in zigzag order.

    Nearest is the least sum of absolute differences to the tables of T.81, annex K, as libjpeg scales
    them (`jpeg_quality_scaling` in jcparam.c: S = 5000 / q below 50, else 200 − 2q; entry
    (S · base + 50) / 100, at least 1 and at most 255). The tables of any file written on that scale are met
    exactly; for others the figure says which libjpeg quality quantises most alike.
    """
    given = np.asarray(luminance if chrominance is None else np.concatenate([luminance, chrominance]), np.int32)
    return int(np.abs(_IJG[:, : len(given)] - given).sum(axis=1).argmin()) + 1


def _ijg_tables() -> npt.NDArray[np.int32]:
    """(100, 128): luminance, then chrominance table of every quality from 1."""
    base = np.array(f"{_LUMINANCE} {_CHROMINANCE}".split(), np.int32)
    scale = np.array([5000 // q if q < 50 else 200 - 2 * q for q in range(1, 101)], np.int32)
    return np.clip((scale[:, None] * base + 50) // 100, 1, 255).astype(np.int32)


_IJG = _ijg_tables()
_QUALITY_OF = {row[:n].astype(np.uint8).tobytes(): q for q, row in enumerate(_IJG, 1) for n in (64, 128)}


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """Marker of the next segment, where it starts and where it ends. Fill and stray bytes are passed over."""
    found = _MARKER.search(data, at)
    if found is None:
        raise EOFError
    at = found.start()
    marker = data[at + 1]
    if marker in (0xD8, _EOI):
        raise _broken("no picture between its markers")
    (length,) = struct.unpack_from(">H", data, at + 2)
    end = at + 2 + length
    if length < 2:
        raise _broken("segment of no length")
    if end > len(data):
        raise EOFError
    return marker, at, end


def _frame(marker: int, body: bytes) -> tuple[int, int, tuple[int, ...]]:
    """Height, width, and the table that each component uses."""
    if marker in _OTHER_FRAMES:
        raise _unsupported(_OTHER_FRAMES[marker])
    bits, height, width, n_components = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise _unsupported(f"{bits}-bit JPEG")
    if n_components not in (1, 3, 4):
        raise _unsupported(f"JPEG of {n_components} components")
    if height == 0:
        raise _unsupported("JPEG whose height follows the picture")
    if width == 0 or len(body) < 6 + 3 * n_components:
        raise _broken("frame header")
    return height, width, tuple(body[8 : 6 + 3 * n_components : 3])


def _tables(body: bytes) -> dict[int, bytes]:
    """Quantisation tables of a DQT segment by their number: 64 or 128 bytes each."""
    found = {}
    while body:
        size = 128 if body[0] >> 4 else 64
        if len(body) <= size:
            raise _broken("quantisation table")
        found[body[0] & 15] = body[1 : size + 1]
        body = body[size + 1 :]
    return found


def _quality(tables: dict[int, bytes], table_ids: tuple[int, ...]) -> int | None:
    """Of the first two components' tables; None where the first has none."""
    used = [tables[i] for i in dict.fromkeys(table_ids[:2]) if i in tables]
    if not used:
        return None
    exact = _QUALITY_OF.get(b"".join(used))
    return exact or estimate_quality(*(np.frombuffer(t, ">u2" if len(t) == 128 else np.uint8) for t in used))


def _tells_colours(marker: int, body: bytes) -> bool:
    """Whether a decoder takes the colour space from the segment: the JFIF or the Adobe one."""
    return (marker == 0xE0 and body.startswith(b"JFIF\0")) or (marker == 0xEE and body.startswith(b"Adobe"))


def _mpf_count(index: bytes) -> int:
    """Number of pictures in a multi-picture index (CIPA DC-007); 1 where it cannot be read."""
    try:
        block = TiffBytes(index)
        return block.number(block.tags(block.first).get(_MPF_COUNT)) or 1
    except (ValueError, struct.error):
        return 1


def _broken(detail: str) -> UnreadableError:
    return UnreadableError(ImageReason.DECODE_ERROR, detail)


def _unsupported(detail: str) -> UnreadableError:
    return UnreadableError(ImageReason.UNSUPPORTED_FORMAT, detail)
