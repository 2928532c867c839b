"""How often the intervals of error rates by group hold the true rate, on generated archives whose rates are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facelib.audit.differentials import all_differentials
from facelib.audit.group_errors import error_table
from facelib.clusters.space import FloatArray, IntArray, Space

_DIMENSIONS = 16
_TRUTH_SUBJECTS = 2000


@dataclass(frozen=True)
class Population:
    """Subjects of each group, how far the group lies from the origin (the farther, the more alike), and its faces.

    Faces of a subject scatter by `spread`, of some subjects more than of others; each has 1 + Poisson(`more_faces`).
    """

    subjects: Sequence[int]
    crowding: Sequence[float]
    spread: float = 0.5
    more_faces: float = 2.0

    def archive(self, seed: int, subjects: Sequence[int] | None = None) -> tuple[FloatArray, IntArray, IntArray]:
        """Unit embeddings (n, 16), subject and group (n,) of newly drawn subjects, in these numbers or others."""
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(len(self.subjects)), self.subjects if subjects is None else subjects)
        centre = rng.normal(size=(len(group), _DIMENSIONS))
        centre[np.arange(len(group)), group] += np.asarray(self.crowding)[group]
        subject = np.repeat(np.arange(len(group)), 1 + rng.poisson(self.more_faces, len(group)))
        spread = self.spread * np.exp(0.3 * rng.normal(size=len(group)))
        faces = centre[subject] + spread[subject, None] * rng.normal(size=(len(subject), _DIMENSIONS))
        return (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32), subject, group[subject]


@dataclass(frozen=True)
class Truth:
    """Sorted similarities of non-mated and of mated pairs within each group, of many subjects."""

    non_mated: list[FloatArray]
    mated: list[FloatArray]

    def rates(self, threshold: float) -> tuple[list[float], list[float]]:
        """FMR and FNMR of each group."""
        fmr = [1 - np.searchsorted(s, threshold, side="right") / len(s) for s in self.non_mated]
        return fmr, [np.searchsorted(s, threshold, side="right") / len(s) for s in self.mated]


def truth(population: Population, subjects: int = _TRUTH_SUBJECTS, seed: int = 10**6) -> Truth:
    """From so many subjects of each group."""
    n_groups = len(population.subjects)
    unit, subject, group = population.archive(seed, [subjects] * n_groups)
    found = Truth([], [])
    for g in range(n_groups):
        of, rows = subject[group == g], unit[group == g]
        once = np.triu(np.ones((len(rows), len(rows)), bool), 1)
        is_mated = of[:, None] == of
        similarity = rows @ rows.T
        found.non_mated.append(np.sort(similarity[once & ~is_mated]))
        found.mated.append(np.sort(similarity[once & is_mated]))
    return found


@dataclass(frozen=True)
class Coverage:
    """Shares of the archives, by group: intervals that hold the true rate, and groups without a false match.

    Those of differentials by name, of the archives in which the figure and its interval are defined.
    """

    fmr: list[float]
    fnmr: list[float]
    without_false_match: list[float]
    differentials: dict[str, float]


def coverage(
    population: Population, fmr: float, archives: int, resamples: int = 400, known: Truth | None = None
) -> Coverage:
    """Intervals of `archives` archives at the threshold of each, against the rates of the population there."""
    known = known or truth(population)
    names = [str(g) for g in range(len(population.subjects))]
    held = {"fmr": np.zeros(len(names)), "fnmr": np.zeros(len(names)), "zero": np.zeros(len(names))}
    defined, covered = Counter[str](), Counter[str]()
    for seed in range(archives):
        unit, subject, group = population.archive(seed)
        images = np.arange(len(unit))
        table = error_table(Space.plain(unit), subject, images, group, names, fmr, resamples=resamples, seed=seed)
        assert table is not None
        true_fmr, true_fnmr = (np.asarray(r) for r in known.rates(table.threshold))
        within = table.fmr.low.diagonal(), table.fmr.high.diagonal()
        held["fmr"] += (within[0] <= true_fmr) & (true_fmr <= within[1])
        held["fnmr"] += (table.fnmr.low <= true_fnmr) & (true_fnmr <= table.fnmr.high)
        held["zero"] += table.fmr.errors.diagonal() == 0
        everyone = np.ones(len(names), bool)
        for name, value in all_differentials(true_fmr, true_fnmr, everyone, everyone).items():
            found = table.differentials[name]
            if found.low is not None:
                defined[name] += 1
                covered[name] += found.low <= value <= (np.inf if found.high is None else found.high)
    return Coverage(
        *((held[k] / archives).round(4).tolist() for k in ("fmr", "fnmr", "zero")),
        {name: round(covered[name] / n, 4) for name, n in defined.items()},
    )
