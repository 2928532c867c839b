"""Settings of duplicate detection."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DISTANCE = 24


@dataclass(frozen=True)
class DuplicateSettings:
    """ValueError names the field that is out of range."""

    max_distance: int = 14
    """Largest distance between near duplicates, 0–24 of the 128 bits of phash and dhash together. At 14, resized,
    recompressed, mirrored, grey and brighter or darker copies are found, and about half to three quarters of
    those with 5 % cropped off; see the benchmark `duplicates`."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_distance <= MAX_DISTANCE:
            raise ValueError(f"duplicates.max_distance is {self.max_distance}: give 0 to {MAX_DISTANCE} bits")
