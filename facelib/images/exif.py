"""What EXIF says of a picture: which way is up, and which camera took it (EXIF 2.3)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from facelib.images.tiff import Entry, TiffBytes

LONGEST_CAMERA = 80
"""Characters of a camera's name that are kept."""
_MAKE, _MODEL, _ORIENTATION = 0x010F, 0x0110, 0x0112


@dataclass(frozen=True)
class Exif:
    """`orientation`: 1 to 8. `camera`: make and model, up to LONGEST_CAMERA printable characters. None where absent."""

    orientation: int | None = None
    camera: str | None = None


def read_exif(block: bytes | None) -> Exif:
    """Facts of an EXIF block with or without its `Exif` prefix; none of EXIF that cannot be read."""
    if block is None:
        return Exif()
    try:
        directory = TiffBytes(block.removeprefix(b"Exif\0\0"))
        return exif_of(directory, directory.tags(directory.first))
    except (ValueError, struct.error):
        return Exif()


def exif_of(block: TiffBytes, tags: Mapping[int, Entry]) -> Exif:
    """Facts of the tags of a directory, as those of a TIFF file's picture. Values out of range are absent."""
    orientation = block.number(tags.get(_ORIENTATION))
    is_valid = orientation is not None and 1 <= orientation <= 8
    return Exif(orientation if is_valid else None, _camera(block.text(tags.get(_MAKE)), block.text(tags.get(_MODEL))))


def _camera(make: str, model: str) -> str | None:
    """The model, with the make before it unless it begins with the make's first word (`Canon`, `Canon EOS 5D`)."""
    make, model = (" ".join("".join(c if c.isprintable() else " " for c in name).split()) for name in (make, model))
    brand = make.partition(" ")[0]
    is_named = bool(model) and model.casefold().startswith(brand.casefold())
    return (model if is_named else f"{make} {model}").strip()[:LONGEST_CAMERA].rstrip() or None
