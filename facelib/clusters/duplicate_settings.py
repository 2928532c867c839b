"""Settings of duplicate detection."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DISTANCE = 24


@dataclass(frozen=True)
class DuplicateSettings:
    """ValueError names the field that is out of range."""

    max_distance: int = 12
    """Largest distance between near duplicates, 0–24 of the 128 bits of phash and dhash together. At 12, copies that
    are resized, recompressed, mirrored, grey, brighter or darker, or bear a small mark are found; of those with
    5 % cropped off, about half. See the benchmark `duplicates` for other distances; where all pictures are
    alike in composition (passport photographs), or there are tens of millions, 8 to 10 is safer."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_distance <= MAX_DISTANCE:
            raise ValueError(f"duplicates.max_distance is {self.max_distance}: give 0 to {MAX_DISTANCE} bits")
