"""What quality_score is worth: errors of 1:1 verification when the faces it ranks lowest are discarded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.archives import archive
from benchmarks.clusters import embedded_faces, identities
from benchmarks.harness import needs_photographs
from benchmarks.results_file import Result
from facelib.clusters.neighbours import normalise
from facelib.embeddings.embed import vectors_of
from facelib.errors import ConfigError
from facelib.faces.quality import QUALITY_COLUMNS, quality_parts, quality_score
from facelib.reports.error_discard import Comparisons, DiscardPoint, error_discard_curve, least_quality, mean_error
from facelib.reports.verification import true_match_rate

PACKAGES = ("numpy", "opencv-python-headless", "torch")
_FALSE_MATCH_RATE = 1e-3
_SHARES = (0.0, 0.05, 0.10, 0.20)
_FINE_SHARES = tuple(i / 100 for i in range(21))
_RANDOM_ORDERS = 20

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Faces:
    """Main faces: cosine of every pair (n, n), the subject of each, and the columns to rank by."""

    similarity: Floats
    subjects: npt.NDArray[np.str_]
    measures: dict[str, Floats]

    def only(self, keep: Flags) -> Faces:
        """Some of the faces."""
        measures = {name: values[keep] for name, values in self.measures.items()}
        return Faces(self.similarity[np.ix_(keep, keep)], self.subjects[keep], measures)


class Verification:
    """All mated and non-mated comparisons of faces, and the threshold at FMR 10⁻³ before any is discarded."""

    def __init__(self, faces: Faces) -> None:
        self._i, self._j = np.triu_indices(len(faces.subjects), 1)
        self._similarity = faces.similarity[self._i, self._j]
        self._is_mated = faces.subjects[self._i] == faces.subjects[self._j]
        self._mated_subjects = faces.subjects[self._i[self._is_mated]]
        self.threshold = self._threshold(~self._is_mated)

    def curve(self, quality: Floats, shares: Sequence[float]) -> list[DiscardPoint]:
        """Points for the shares of faces of least quality."""
        lower = np.minimum(quality[self._i], quality[self._j])
        mated, non_mated = (Comparisons(self._similarity[k], lower[k]) for k in (self._is_mated, ~self._is_mated))
        limits = least_quality(quality, shares)
        return error_discard_curve(mated, self._mated_subjects, non_mated, self.threshold, limits)

    def fnmr_at_new_threshold(self, quality: Floats, share: float) -> float:
        """The false non-match rate when the threshold is set anew, at the same FMR, on what is left."""
        kept = np.minimum(quality[self._i], quality[self._j]) >= least_quality(quality, [share])[0]
        threshold = self._threshold(kept & ~self._is_mated)
        return float((self._similarity[kept & self._is_mated] <= threshold).mean())

    def order_by_errors(self) -> Floats:
        """A quality that knows the errors: removes, one by one, the face with most false non-matches left."""
        wrong = np.flatnonzero(self._is_mated & (self._similarity <= self.threshold))
        n = int(self._j[-1]) + 1
        errors = np.zeros((n, n), np.int64)
        errors[self._i[wrong], self._j[wrong]] = errors[self._j[wrong], self._i[wrong]] = 1
        left, quality = errors.sum(axis=1), np.full(n, float(n))
        for rank in range(n):
            worst = int(np.argmax(left))
            if left[worst] == 0:
                break
            quality[worst] = rank
            left = left - errors[worst]
            left[worst] = 0
            errors[:, worst] = 0
        return quality

    def _threshold(self, among: Flags) -> float:
        return true_match_rate(np.zeros(1), self._similarity[among], _FALSE_MATCH_RATE)[1]


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Three tables: the score, and all rankings on all and on held-out subjects. ConfigError without photographs."""
    if data is None:
        raise ConfigError(needs_photographs("quality"))
    faces = _main_faces(data, quick)
    is_even = np.array([hashlib.sha256(s.encode()).digest()[-1] % 2 == 0 for s in faces.subjects])
    groups = {"all": faces, "chosen on": faces.only(is_even), "held out": faces.only(~is_even)}
    verifications = {name: Verification(group) for name, group in groups.items()}
    return [
        _score_table(groups, verifications),
        *(_ranking_table(name, groups[name], verifications[name]) for name in ("all", "held out")),
    ]


def _main_faces(data: Path, quick: bool) -> Faces:
    by_path = archive(data).by_path()
    if quick:
        by_path = dict(list(by_path.items())[:240])
    rows = embedded_faces(list(by_path.values()))
    rows = rows.filter(pc.equal(rows.column("face_index"), 0))
    path_of = {member.image_id: path for path, member in by_path.items()}
    identity_of = identities(data / "labels.csv")
    unit = normalise(vectors_of(rows.column("embedding"))).astype(np.float64)
    names = {*QUALITY_COLUMNS, "brightness", "lighting_difference", "roll_deg", "detection_score"}
    measures = {name: rows.column(name).cast(pa.float64()).to_numpy() for name in sorted(names)}
    subjects = np.array([identity_of[path_of[i]] for i in rows.column("image_id").to_pylist()])
    return Faces(unit @ unit.T, subjects, measures)


def _rankings(measures: dict[str, Floats]) -> dict[str, Floats]:
    """Qualities to compare: the score, its parts, and what it leaves out."""
    parts = {f"part {name}": part for name, part in quality_parts(measures).items()}
    return {
        "**quality_score**": quality_score(measures),
        **parts,
        "detection_score": measures["detection_score"],
        "brightness": measures["brightness"],
        "even light: −│lighting_difference│": -np.abs(measures["lighting_difference"]),
        "upright: −│roll_deg│": -np.abs(measures["roll_deg"]),
    }


def _score_table(groups: dict[str, Faces], verifications: dict[str, Verification]) -> Result:
    rows = []
    for name, faces in groups.items():
        quality, verification = quality_score(faces.measures), verifications[name]
        for share, point in zip(_SHARES, verification.curve(quality, _SHARES), strict=True):
            rows.append(
                (
                    name,
                    f"{share:.0%}",
                    f"{point.fnmr:.2%} {_ends(point.fnmr_ends)}",
                    f"{point.change:+.2%} {_ends(point.change_ends)}" if share else "",
                    f"{verification.fnmr_at_new_threshold(quality, share):.2%}",
                    f"{point.fmr:.2e}",
                    f"{point.n_mated:,}",
                    f"{point.n_non_mated:,}",
                )
            )
    counts = "; ".join(f"{n}: {len(g.subjects)} faces of {len(set(g.subjects))} subjects" for n, g in groups.items())
    notes = (
        f"{counts}. All pairs of main faces; a pair goes when either face does. FMR 0.001 before discarding.",
        "The score's constants were chosen on one half of the subjects (by digest of the name) and on degraded copies "
        "(`facelib/faces/QUALITY.md`); the other half is held out. In brackets: 95 % of a bootstrap by subject.",
        "FNMR at the threshold fixed once, on all pairs (Grother & Tabassi 2007); “set anew”: at FMR 0.001 of what is "
        "left.",
        "LFW holds press photographs found by a detector of frontal faces: nearly all are good. One subject has "
        f"{_largest_share(groups['all'].subjects):.0%} of the mated pairs.",
    )
    columns = (
        "subjects", "faces discarded", "FNMR", "change", "FNMR, set anew", "FMR", "mated pairs", "non-mated pairs"
    )  # fmt: skip
    return Result("Error versus discard by quality_score", columns, tuple(rows), notes)


def _ranking_table(name: str, faces: Faces, verification: Verification) -> Result:
    rankings = _rankings(faces.measures)
    curves = {label: [p.fnmr for p in verification.curve(q, _FINE_SHARES)] for label, q in rankings.items()}
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(faces.subjects)).astype(np.float64) for _ in range(_RANDOM_ORDERS)]
    random = np.mean([[p.fnmr for p in verification.curve(q, _SHARES)] for q in orders], axis=0)
    curves["ideal: faces with most errors first"] = [
        p.fnmr for p in verification.curve(verification.order_by_errors(), _FINE_SHARES)
    ]
    rows = [
        (label, *(f"{fnmr[_FINE_SHARES.index(s)]:.2%}" for s in _SHARES), f"{mean_error(_FINE_SHARES, fnmr, 0.2):.2%}")
        for label, fnmr in curves.items()
    ]
    rows.append(
        (f"random, mean of {_RANDOM_ORDERS}", *(f"{v:.2%}" for v in random), f"{mean_error(_SHARES, random, 0.2):.2%}")
    )
    columns = ("ranking", *(f"{s:.0%} of faces" for s in _SHARES), "mean of 0–20%")
    notes = (
        "Threshold fixed once. The mean is the partial area under the curve over its width; less is better.",
        "“Ideal” knows the errors and removes greedily; no quality can be expected to reach it.",
    )
    return Result(f"FNMR by share of faces discarded, subjects: {name}", columns, tuple(rows), notes)


def _largest_share(subjects: npt.NDArray[np.str_]) -> float:
    """Share of the mated pairs that are of one subject."""
    _, counts = np.unique(subjects, return_counts=True)
    pairs = counts * (counts - 1) // 2
    return float(pairs.max() / pairs.sum())


def _ends(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:.2%}, {ends[1]:.2%}]"
