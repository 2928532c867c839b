"""What bytes are, told by their content."""

from __future__ import annotations

import re

from facelib.reasons import ImageReason

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
"""The formats that are decoded."""

_DIB_HEADER_BYTES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_HEIF_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"crx ": "cr3",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heic"),
}
_PREFIXES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"8BPS\0", "psd"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"II\xbc\x01", "jxr"),
    (b"IIRO", "orf"),
    (b"IIU\0", "rw2"),
    (b"FUJIFILMCCD-RAW", "raf"),
    (b"DDS |\0\0\0", "dds"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?RADIANCE\n", "hdr"),
    (b"qoif", "qoi"),
    (b"icns", "icns"),
    (b"\x01\xda\0", "sgi"),
    (b"\x01\xda\x01", "sgi"),
    (b"\x59\xa6\x6a\x95", "sun"),
    (b"SIMPLE  =", "fits"),
    (b"/* XPM */", "xpm"),
    (b"\x8aMNG\r\n\x1a\n", "mng"),
    (b"\x8bJNG\r\n\x1a\n", "jng"),
)
_PATTERNS = (
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
    (re.compile(rb"P[1-6]\s(?:#[^\n]*\n|\s)*+\d|P7\nWIDTH |P[Ff]\n\d"), "ppm"),
    (re.compile(rb"\0\0[\x01\x02]\0[\x01-\xff]\0...\0", re.DOTALL), "ico"),
    (re.compile(rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]"), "pcx"),
    (re.compile(rb".{128}DICM", re.DOTALL), "dicom"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*+<(?:svg\s|(?:\?xml|!--|!DOCTYPE svg).*<svg\s)", re.DOTALL), "svg"),
)


class UnreadableError(Exception):
    """The bytes of an image cannot be made pixels; `detail` says why in a few words."""

    def __init__(self, reason: ImageReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def format_of(data: bytes) -> str | None:
    """Name of the image format: one of FORMATS, that of another known format, or None if it is none."""
    for prefix, name in _PREFIXES:
        if data.startswith(prefix):
            return name
    if _is_bmp(data):
        return "bmp"
    if data[4:8] == b"ftyp":
        return _HEIF_BRANDS.get(data[8:12])
    head = data[:4096]
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)


def _is_bmp(data: bytes) -> bool:
    """Whether `BM` is followed by reserved bytes of zero and the size of a known header, as far as there are bytes."""
    if not data.startswith(b"BM") or len(data) < 10:
        return False
    size = int.from_bytes(data[14:18], "little")
    return data[6:10] == bytes(4) if len(data) < 18 else size in _DIB_HEADER_BYTES
