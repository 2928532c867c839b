"""Corrupted image files, generated from a seed: damage of every kind, to every format that is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from handmade import saved
from PIL import Image
from specimen import picture
from specimens import specimens

_EXTREMES = [
    value.to_bytes(size, order)
    for size, values in ((2, (0, 1, 0x7FFF, 0xFFFF)), (4, (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
    for value in values
    for order in ("big", "little")
]
_HEADER_BYTES = 200

Damage = Callable[[bytes, bytes, np.random.Generator], bytes]


def corruptions(n: int = 2000, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Name, fit for a file, and bytes of `n` damaged files, the same for a seed; the kinds of damage take turns.

    Half of the places lie in the first 200 bytes, where the headers are.
    """
    rng = np.random.default_rng([seed, 1])
    wholes = _wholes()
    kinds = list(_DAMAGE.items())
    for k in range(n):
        name, data = wholes[int(rng.integers(len(wholes)))]
        _, other = wholes[int(rng.integers(len(wholes)))]
        kind, damage = kinds[k % len(kinds)]
        yield f"{k:04d} {kind}: {name}", damage(data, other, rng)


@cache
def _wholes() -> list[tuple[str, bytes]]:
    """Files that decode: the small specimens, and larger ones, of several frames too."""
    small = [
        (s.name, s.data) for s in specimens() if s.reason is None and s.pixels is not None and len(s.data) < 20_000
    ]
    frames = [Image.fromarray(picture(seed, 240, 300)) for seed in range(4)]
    large = [
        (f"large {format.lower()}", saved(frames[0], format, save_all=True, append_images=frames[1:]))
        for format in ("GIF", "WEBP", "TIFF", "PNG", "MPO")
    ]
    large += [
        ("large jpeg", saved(frames[1], "JPEG", quality=90)),
        ("large progressive jpeg", saved(frames[2], "JPEG", quality=90, progressive=True)),
        ("large compressed tiff", saved(frames[3], "TIFF", compression="tiff_lzw")),
        ("large bmp", saved(frames[0], "BMP")),
    ]
    return small + 4 * large


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(min(len(data), _HEADER_BYTES) if rng.random() < 0.5 else len(data)))


def _flip_bits(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        damaged[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _overwrite(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 200))
    run = [bytes(length), b"\xff" * length, rng.bytes(length)][int(rng.integers(3))]
    return (data[:at] + run + data[at + length :])[: len(data)]


def _truncate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def _duplicate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 2000))
    return data[: at + length] + data[at : at + length] + data[at + length :]


def _delete(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 2000))
    return data[:at] + data[at + length :]


def _splice(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The start of one file before the rest of another."""
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _extreme(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A length, count or offset field set to an extreme."""
    at, field = _place(data, rng), _EXTREMES[int(rng.integers(len(_EXTREMES)))]
    return data[:at] + field + data[at + len(field) :]


_DAMAGE: dict[str, Damage] = {
    "bits flipped": _flip_bits,
    "bytes overwritten": _overwrite,
    "cut": _truncate,
    "part repeated": _duplicate,
    "part missing": _delete,
    "spliced": _splice,
    "extreme field": _extreme,
}
