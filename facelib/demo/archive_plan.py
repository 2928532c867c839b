"""What a demonstration archive is to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facelib.errors import ConfigError

ATTRIBUTES = ("skin_tone", "age_band", "glasses")
REFERENCE: Mapping[str, Mapping[str, float]] = {
    "skin_tone": {"light": 0.35, "medium": 0.40, "dark": 0.25},
    "age_band": {"18-34": 0.30, "35-54": 0.32, "55+": 0.38},
    "glasses": {"no": 0.60, "yes": 0.40},
}
"""Shares of an invented population: what the audit of a demonstration archive compares with."""
STREAMS = {"people": 0, "pictures": 1, "extras": 2, "labels": 3}  # seeds [plan.seed, stream, …], one per purpose


@dataclass(frozen=True)
class ArchivePlan:
    """What to plant.

    Pictures per identity run from `fewest` to `most`, most people near the low end (mean 8 for 4 to 14).
    `skin_tone`, `age_band` and `glasses` are the shares of identities per category; each sums to 1.
    `size` fixes the pixels of every portrait; by default each has its own, 256 to 640.
    """

    identities: int = 60
    fewest: int = 4
    most: int = 14
    seed: int = 7
    skin_tone: Mapping[str, float] = field(default_factory=lambda: {"light": 0.70, "medium": 0.22, "dark": 0.08})
    age_band: Mapping[str, float] = field(default_factory=lambda: {"18-34": 0.55, "35-54": 0.30, "55+": 0.15})
    glasses: Mapping[str, float] = field(default_factory=lambda: {"no": 0.80, "yes": 0.20})
    exact_duplicates: int = 6
    near_duplicates: int = 8
    group_pictures: int = 2
    empty_cell_share: float = 0.03
    unlabelled: int = 5
    size: int | None = None


def check_plan(plan: ArchivePlan, folder: Path) -> None:
    """Raise ConfigError when the plan cannot be met or `folder` already holds an archive."""
    if plan.identities < 2:
        raise ConfigError(f"identities is {plan.identities}: plan at least 2")
    if not 1 <= plan.fewest <= plan.most:
        raise ConfigError(f"fewest is {plan.fewest} and most is {plan.most}: give 1 <= fewest <= most")
    for name in ATTRIBUTES:
        total = sum(getattr(plan, name).values())
        if abs(total - 1) > 1e-9:
            raise ConfigError(f"the shares of {name} sum to {total:g}: make them sum to 1")
    if (folder / "images").exists():
        raise ConfigError(f"folder {folder} already holds images: give a new or empty folder")


def subject_name(index: int) -> str:
    """Declared name of the `index`-th identity, from 0."""
    return f"subject_{index:03d}"
