"""The people of a demonstration archive, drawn to a plan so that no two look alike by chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from facelib.demo.archive_plan import ATTRIBUTES, STREAMS, ArchivePlan
from facelib.demo.identity import GEOMETRY, GroupTraits, Identity, sample_identity

_CANDIDATES = 24  # identities drawn for each one kept


def draw_people(plan: ArchivePlan) -> list[tuple[dict[str, str], Identity]]:
    """Attributes and identity of each person; each is the candidate furthest from those before it."""
    rng = np.random.default_rng([plan.seed, STREAMS["people"]])
    columns = {name: _apportion(getattr(plan, name), plan.identities, rng) for name in ATTRIBUTES}
    people: list[tuple[dict[str, str], Identity]] = []
    seen: list[npt.NDArray[np.float64]] = []
    for k in range(plan.identities):
        row = {name: columns[name][k] for name in ATTRIBUTES}
        traits = GroupTraits(row["skin_tone"], row["age_band"], row["glasses"] == "yes")  # type: ignore[arg-type]
        candidates = [sample_identity(rng, traits) for _ in range(_CANDIDATES)]
        looks = [_look(c) for c in candidates]
        nearest = [min((float(np.linalg.norm(v - s)) for s in seen), default=0.0) for v in looks]
        best = int(np.argmax(nearest))
        people.append((row, candidates[best]))
        seen.append(looks[best])
    return people


def _look(p: Identity) -> npt.NDArray[np.float64]:
    shape = [(getattr(p, name) - low) / (high - low) for name, (low, high) in GEOMETRY.items()]
    colours = np.log([*p.skin, *p.hair_colour]) / 3
    return np.array([*shape, *colours, 0.7 * (p.beard == "none"), 0.7 * (p.hair in ("bob", "long"))])


def _apportion(shares: Mapping[str, float], total: int, rng: np.random.Generator) -> list[str]:
    """`total` category names in the shares (largest remainder), in random order."""
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    names = [name for name in shares for _ in range(counts[name])]
    return [names[i] for i in rng.permutation(total)]
