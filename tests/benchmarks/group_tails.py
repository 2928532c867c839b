"""False match rates of groups, estimated without subject labels, beside those counted with them.

Nothing that is judged here saw a label: clusters, floor and estimates come from embeddings; labels name the groups, and
subjects the pairs that are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.clusters import assigned
from benchmarks.face_set import Faces, together
from benchmarks.harness import needs_photographs
from benchmarks.labelled import Photographs, photographs
from benchmarks.results_file import Result
from facelib.audit.group_tails import GroupRates, group_rates, sampled
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.errors import ConfigError
from facelib.reports.declared import declared_categories
from facelib.reports.threshold_curve import face_groups

PACKAGES = ("numpy", "networkit", "torch")
_SEED = 1
_LOOSER = (1.0, 10.0, 100.0, 0.01)
"""False edges allowed at the points, relative to those at the floor; the last is for the notes."""
_FEWEST, _FEWEST_QUICK = 250, 60
"""Faces of a group in the tables."""
_LARGE = 500
_DRAWS, _PARTS = 5, 4
_CORRECTED, _PLAIN = "**corrected**", "cosine"


@dataclass(frozen=True)
class Clustered:
    """The core main faces of an archive in a finished clustering: unit rows (n, d) and what is known of each face."""

    archive: str
    similarity: str
    unit: FloatArray
    weight: FloatArray
    cluster: IntArray
    subject: npt.NDArray[np.str_]
    labels: pa.Table
    floor: FloorEstimate

    def space(self, rows: IntArray) -> Space:
        return Space.corrected(self.unit[rows], self.weight[rows])

    def points(self) -> npt.NDArray[np.float64]:
        """The similarities compared."""
        return np.array([self.floor.looser(factor) for factor in _LOOSER])

    def counted(self, rows: IntArray) -> tuple[IntArray, int]:
        """Pairs of two subjects above each point, and all of them."""
        space, subject = self.space(rows), self.subject[rows]
        apart = np.triu(subject[:, None] != subject, 1)
        strangers = (space.left @ space.right.T)[apart]
        return np.array([np.count_nonzero(strangers > s) for s in self.points()]), len(strangers)


@dataclass(frozen=True)
class Measured:
    """A group: its estimate, and the pairs of two subjects above each point of all such pairs."""

    name: str
    faces: int
    rates: GroupRates
    above: IntArray
    pairs: int

    def ratio(self, point: int) -> float:
        """Estimated over counted rate; NaN where nothing is counted."""
        return float(self.rates.fmr[point] * self.pairs / self.above[point]) if self.above[point] else np.nan

    def covers(self, point: int) -> bool:
        """Whether the interval holds the counted rate."""
        return bool(self.rates.low[point] <= self.above[point] / self.pairs <= self.rates.high[point])


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """A summary, and a table of groups by archive and similarity. ConfigError without the photographs."""
    if data is None:
        raise ConfigError(needs_photographs("group_tails"))
    found = photographs(data, 240 if quick else None)
    fewest = _FEWEST_QUICK if quick else _FEWEST
    measured = {(kind.archive, kind.similarity): (kind, list(_groups(kind, fewest))) for kind in _archives(found)}
    parts = {key: list(_random_parts(kind)) for key, (kind, _) in measured.items() if key[0] == "lfw_dev"}
    tables = [_table(kind, groups) for kind, groups in measured.values() if kind.archive != "both"]
    return [_summary({k: g for k, (_, g) in measured.items()}, parts), *tables]


def _archives(found: Photographs) -> Iterator[Clustered]:
    archives = {
        "fairface_dev": (found.fairface, ("race", "gender", "age")),
        "lfw_dev": (found.lfw, ("gender", "view2_fold")),
        "both": (together(found.lfw, found.fairface), ("race", "gender", "age")),
    }
    for name, (faces, attributes) in archives.items():
        for cohort in (True, False):
            yield _clustered(name, faces, found.attributes, attributes, cohort)


def _clustered(
    archive: str, faces: Faces, attributes: dict[str, dict[str, str]], names: Sequence[str], cohort: bool
) -> Clustered:
    found = assigned(faces, ClusterSettings(cohort=cohort))
    rows = {row["face_id"]: row for row in found.clusters.to_pylist()}
    mine = [rows[face] for face in faces.face_ids]
    keep = faces.is_main & np.array([row["role"] == "core" for row in mine])
    core = [row for row, kept in zip(mine, keep, strict=True) if kept]
    known = [attributes[subject] for subject in faces.identities[keep].tolist()]
    return Clustered(
        archive,
        _CORRECTED if cohort else _PLAIN,
        normalise(faces.embeddings[keep]),
        np.array([row["weight"] for row in core], np.float32),
        np.unique(np.array([row["cluster_id"] for row in core]), return_inverse=True)[1].astype(np.int64),
        faces.identities[keep],
        pa.table({name: pa.array([row.get(name) or None for row in known], pa.string()) for name in names}),
        found.summary.floor,
    )


def _groups(kind: Clustered, fewest: int) -> Iterator[Measured]:
    everyone = _measured(kind, "all main faces", np.arange(len(kind.unit)))
    if everyone is None:
        raise ConfigError(f"{kind.archive} has too few faces for the benchmark group_tails: add its images")
    yield everyone
    for group in face_groups(kind.labels, declared_categories(kind.labels)):
        found = _measured(kind, ", ".join(group.groups), group.rows) if len(group.rows) >= fewest else None
        if found:
            yield found


def _measured(kind: Clustered, name: str, rows: IntArray) -> Measured | None:
    chosen = sampled(rows, _SEED)
    rates = group_rates(kind.space(chosen), kind.cluster[chosen], kind.floor, kind.points(), _SEED)
    return rates and Measured(name, len(rows), rates, *kind.counted(rows))


def _random_parts(kind: Clustered) -> Iterator[Measured]:
    """Quarters of the subjects, each beside what is counted among all."""
    above, pairs = kind.counted(np.arange(len(kind.unit)))
    subjects = np.unique(kind.subject)
    for draw in range(_DRAWS):
        part_of = dict(
            zip(np.random.default_rng(draw).permutation(subjects).tolist(), range(len(subjects)), strict=True)
        )
        part = np.array([part_of[subject] % _PARTS for subject in kind.subject.tolist()])
        for i in range(_PARTS):
            rows = np.flatnonzero(part == i)
            rates = group_rates(kind.space(rows), kind.cluster[rows], kind.floor, kind.points(), _SEED)
            if rates:
                yield Measured(f"part {i} of draw {draw}", len(rows), rates, above, pairs)


def _table(kind: Clustered, groups: Sequence[Measured]) -> Result:
    everyone, fmr = groups[0], kind.floor.fmr or np.nan
    rows = [(g.name, f"{g.faces:,}", *(cell for point in range(2) for cell in _cells(g, point))) for g in groups]
    notes = (
        f"Floor {kind.floor.floor:.4f}, made for an FMR of {fmr:.1e} over the whole archive. Faces: core main faces. "
        "Counted: share of pairs of two subjects above the similarity, and their number.",
        f"{everyone.above[3]} of {everyone.pairs:,} pairs of two subjects exceed the similarity at which a hundredth "
        f"of the floor's false edges is expected, {fmr * _LOOSER[3] * everyone.pairs:.1g} pairs.",
        *_NOTES.get(kind.archive, ()),
    )
    columns = (
        "group", "faces", "at the floor: estimated FMR", "95 % interval", "counted", "ratio",
        "at 10 × its false edges: estimated", "95 % interval", "counted", "ratio",
    )  # fmt: skip
    return Result(f"{kind.archive}, {kind.similarity.strip('*')} similarity", columns, tuple(rows), notes)


_NOTES = {
    "fairface_dev": (
        "Every image is counted as another person, which is not so: looked at side by side, most of these pairs, "
        "and of some 250 above the floor of corrected similarities at least 90 and perhaps 170, show one person twice, "
        "often on one occasion. At the floor counted rates are therefore upper bounds, up to three times too high over "
        "all and more in some groups; at ten times its false edges such pairs are 8 to 17 % of those counted.",
        "Race, gender and age are FairFace's labels, annotators' perceptions.",
    ),
}


def _cells(group: Measured, point: int) -> tuple[str, ...]:
    rates = group.rates
    counted = f"{group.above[point] / group.pairs:.1e} ({group.above[point]:,})"
    if np.isnan(rates.fmr[point]):
        return "–", "–", counted, "–"
    ratio = group.ratio(point)
    interval = f"{rates.low[point]:.1e} … {rates.high[point]:.1e}"
    return f"{rates.fmr[point]:.1e}", interval, counted, "–" if np.isnan(ratio) else f"{ratio:.2f}"


def _summary(measured: dict[tuple[str, str], list[Measured]], parts: dict[tuple[str, str], list[Measured]]) -> Result:
    sets = [
        (archive, similarity, what, groups)
        for (archive, similarity), every in measured.items()
        for what, groups in (
            (f"groups of {_LARGE} faces or more", [g for g in every[1:] if g.faces >= _LARGE]),
            ("smaller groups", [g for g in every[1:] if g.faces < _LARGE]),
            ("quarters of the subjects", parts.get((archive, similarity), [])),
        )
        if groups
    ]
    rows = [
        (*names, str(len(groups)), *(cell for point in range(3) for cell in _agreement(groups, point)))
        for *names, groups in sets
    ]
    notes = (
        "Ratio: estimated rate over the rate counted with subjects, median (lowest to highest) of the groups with at "
        "least eight counted pairs; within 2: ratios from 0.5 to 2; covered: intervals that hold the counted rate. "
        "Intervals are for the choice of people, not for the law of the tail.",
        "Corrected: the default; cosine: `cluster.cohort = false`. Both: the archives as one.",
        f"Quarters: of the subjects of lfw_dev at random, {_DRAWS} times; the rates counted are those among all.",
        "10 ×, 100 ×: where so many times the floor's false edges are expected. Up to 10 × estimates are tails, at "
        "100 × most are counted.",
        "In fairface_dev people recur: the notes below its tables say what that does to the counted rates.",
    )
    points = ("floor", "10 ×", "100 ×")
    columns = (
        "archive", "similarity", "what", "n",
        *(f"{p}: {c}" for p in points for c in ("ratio", "within 2", "covered")),
    )  # fmt: skip
    return Result("Estimated over counted false match rates within groups", columns, tuple(rows), notes, text_columns=3)


def _agreement(groups: Sequence[Measured], point: int) -> tuple[str, str, str]:
    judged = [g for g in groups if g.above[point] >= 8 and not np.isnan(g.rates.fmr[point])]
    if not judged:
        return "–", "–", "–"
    ratios = np.array([g.ratio(point) for g in judged])
    within = np.count_nonzero((ratios >= 0.5) & (ratios <= 2))
    covered = sum(g.covers(point) for g in judged)
    spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
    return spread, f"{within} of {len(judged)}", f"{covered} of {len(judged)}"
