"""Cohort normalisation of similarities where the cohort shares no subject with the test, and what it does for clusters.

Every split gives two halves of the subjects. The cohort comes from one half, the comparisons from the other; then
the halves change places, and rates are averaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import graph_choices
from benchmarks.cohort_scores import PLAIN, SCORES, Score
from benchmarks.face_set import Faces
from benchmarks.harness import needs_photographs
from benchmarks.labelled import Photographs, photographs
from benchmarks.results_file import Result
from facelib.clusters.neighbours import normalise
from facelib.clusters.space import FloatArray, IntArray
from facelib.errors import ConfigError
from facelib.reports.verification import true_match_rate

PACKAGES = ("numpy", "scipy", "networkit", "torch")
_SEED = 0
_RATES = (1e-3, 1e-4, 1e-5)
_POOLED_RATE = 1e-4
_FEWEST_OF_AGE = 30
_RACE_GENDER, _AGE = "race and gender", "age"

Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Four kinds of tables: verification, groups, clusters, choices of the graph. ConfigError without photographs."""
    if data is None:
        raise ConfigError(needs_photographs("normalisation"))
    found = photographs(data, 240 if quick else None)
    measured = list(_measured(found, quick))
    return [_verification(measured), _groups(measured), *graph_choices.tables(found, quick)]


@dataclass(frozen=True)
class Side:
    """Main usable faces of one archive: unit rows (n, d), subjects (n,), and groups (n,) by attribute."""

    unit: FloatArray
    subjects: Names
    groups: dict[str, Names]

    def only(self, rows: Flags | IntArray) -> Side:
        """Some of the faces."""
        return Side(self.unit[rows], self.subjects[rows], {k: v[rows] for k, v in self.groups.items()})

    def one_each(self) -> FloatArray:
        """The first face of each subject."""
        return self.unit[np.unique(self.subjects, return_index=True)[1]]


@dataclass
class Measured:
    """Sums over both directions of one split, cohort and score."""

    split: str
    cohort: str
    score: str
    members: int = 0
    rates: list[list[float]] = field(default_factory=list)
    """By direction: TMR at each of `_RATES`."""
    non_mated: int = 0
    pooled_rates: list[float] = field(default_factory=list)
    """By direction: TMR at the threshold of all non-mated pairs."""
    pooled: int = 0
    false: dict[str, Counter[str]] = field(default_factory=lambda: {_RACE_GENDER: Counter(), _AGE: Counter()})
    """By attribute and group: non-mated pairs within the group above that threshold."""
    pairs: dict[str, Counter[str]] = field(default_factory=lambda: {_RACE_GENDER: Counter(), _AGE: Counter()})


def _measured(found: Photographs, quick: bool) -> Iterator[Measured]:
    lfw, fairface = (_side(f, found) for f in (found.lfw, found.fairface))
    splits = _splits(lfw, fairface)
    for split in list(splits)[:1] if quick else splits:
        halves = [[side.only(rows == first) for first in (True, False)] for side, rows in splits[split]]
        for name in ("LFW", "FairFace", "both"):
            for score in SCORES:
                if score == PLAIN and name != "LFW":
                    continue
                sums = Measured(split, "–" if score == PLAIN else name, score)
                for given, tested in ((0, 1), (1, 0)):
                    cohort = {"LFW": halves[0][given].one_each(), "FairFace": halves[1][given].one_each()}
                    cohort["both"] = np.concatenate([cohort["LFW"], cohort["FairFace"]])
                    add_direction(sums, halves[0][tested], halves[1][tested], cohort[name], SCORES[score])
                yield sums


def _side(faces: Faces, found: Photographs) -> Side:
    main = faces.only(faces.is_main & faces.is_usable)
    groups = {
        key: np.array([found.attributes[s].get(key, "") for s in main.identities.tolist()])
        for key in ("gender", "view2_fold", "race", "age")
    }
    groups[_RACE_GENDER] = np.array([f"{r}, {g}" for r, g in zip(groups["race"], groups["gender"], strict=True)])
    return Side(normalise(main.embeddings), main.identities, groups)


def _splits(lfw: Side, fairface: Side) -> dict[str, tuple[tuple[Side, Flags], tuple[Side, Flags]]]:
    """By name: the rows of the first half, for both archives."""
    random = np.random.default_rng(_SEED)
    subjects = np.unique(lfw.subjects)
    first = random.permutation(subjects)[: len(subjects) // 2]
    halved = random.permutation(len(fairface.subjects)) < len(fairface.subjects) // 2
    return {
        "random": ((lfw, np.isin(lfw.subjects, first)), (fairface, halved)),
        "folds 1, 2": ((lfw, lfw.groups["view2_fold"] == "1"), (fairface, halved)),
        "women, men": ((lfw, lfw.groups["gender"] == "F"), (fairface, fairface.groups["gender"] == "Female")),
    }


def add_direction(sums: Measured, lfw: Side, fairface: Side, cohort: FloatArray, score: Score) -> None:
    """Add the comparisons within the LFW faces and within the FairFace faces, all of whom are different people."""
    mated, non_mated = _pairs(score(lfw.unit, cohort), lfw.subjects)
    between = score(fairface.unit, cohort)
    strangers = _upper(between)
    sums.members += len(cohort)
    sums.rates.append([true_match_rate(mated, non_mated, r)[0] for r in _RATES])
    sums.non_mated += len(non_mated)
    every = np.concatenate([non_mated, strangers])
    rate, threshold = true_match_rate(mated, every, _POOLED_RATE)
    sums.pooled_rates.append(rate)
    sums.pooled += len(every)
    for attribute, counted in sums.pairs.items():
        for group in np.unique(fairface.groups[attribute]).tolist():
            rows = np.flatnonzero(fairface.groups[attribute] == group)
            inside = _upper(between[np.ix_(rows, rows)])
            counted[group] += len(inside)
            sums.false[attribute][group] += int(np.count_nonzero(inside > threshold))


def _pairs(similarity: FloatArray, subjects: Names) -> tuple[FloatArray, FloatArray]:
    is_mated = _upper(subjects[:, None] == subjects)
    every = _upper(similarity)
    return every[is_mated], every[~is_mated]


def _upper(square: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    found: npt.NDArray[np.generic] = square[np.triu_indices(len(square), 1)]
    return found


def _verification(measured: list[Measured]) -> Result:
    rows = [(*_names(m), *(f"{r:.3f}" for r in np.mean(m.rates, axis=0)), f"{m.non_mated:,}") for m in measured]
    notes = (
        "Main usable faces of lfw_dev. Cohort: one face of each subject of the other half of LFW, the other half of "
        "the FairFace images (each another person), or both; members: mean of both directions. Rates are means of both "
        "directions, non-mated pairs their sum: at FMR 1e-05 some "
        f"{_RATES[-1] * np.median([m.non_mated for m in measured]) / 2:.0f} pairs decide in each.",
        "Splits: subjects at random (seed 0), by fold of LFW View 2 (FairFace at random), by gender: women are "
        "measured against a cohort of men and the other way round.",
        "facelib: `cohort.weights` and `Space.corrected`. The threshold is set anew for each score.",
    )
    columns = ("split", "cohort", "score", "members", *(f"TMR at FMR {r:g}" for r in _RATES), "non-mated pairs")
    return Result("Verification on LFW, cohort of other subjects", columns, tuple(rows), notes, text_columns=3)


def _names(m: Measured) -> tuple[str, ...]:
    members = "–" if m.score == PLAIN else f"{m.members / len(m.rates):,.0f}"
    return m.split, m.cohort, m.score, members


def _groups(measured: list[Measured]) -> Result:
    rows = []
    for m in measured:
        rates = _group_rates(m, _RACE_GENDER)
        worst = max(rates, key=lambda g: rates[g])
        ages = _group_rates(m, _AGE, _FEWEST_OF_AGE * (_FEWEST_OF_AGE - 1))
        oldest = max(ages, key=lambda g: ages[g], default="")
        rows.append(
            (
                *_names(m),
                f"{np.mean(m.pooled_rates):.3f}",
                _told(m, _RACE_GENDER, worst),
                f"{np.median(list(rates.values())):.1e}",
                f"{rates[worst] / _POOLED_RATE:.1f}",
                _told(m, _AGE, oldest),
            )
        )
    notes = (
        f"One threshold for all: FMR {_POOLED_RATE:g} over the non-mated pairs of the LFW half and of the FairFace "
        f"half together ({measured[0].pooled:,} pairs in both directions of the first split). FMR of a group: pairs "
        "within the group above it, sums of both directions; worst / all: the worst group's FMR over 1e-4.",
        f"Age groups of fewer than about {_FEWEST_OF_AGE} faces in each half are left out. Race, gender and age are "
        "FairFace's labels, annotators' perceptions.",
    )
    columns = (
        "split", "cohort", "score", "members", "TMR on LFW", "worst race and gender: FMR", "median", "worst / all",
        "worst age: FMR",
    )  # fmt: skip
    return Result("Groups at one threshold", columns, tuple(rows), notes, text_columns=3)


def _group_rates(m: Measured, attribute: str, fewest: int = 1) -> dict[str, float]:
    return {g: m.false[attribute][g] / n for g, n in sorted(m.pairs[attribute].items()) if n >= fewest}


def _told(m: Measured, attribute: str, group: str) -> str:
    if not group:
        return "–"
    false, pairs = m.false[attribute][group], m.pairs[attribute][group]
    return f"{group}: {false / pairs:.1e} ({false} of {pairs:,})"
