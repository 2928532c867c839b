"""Search of an enrolled gallery on labelled photographs: ways to make a reference of a subject's images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.archives import archive
from benchmarks.clusters import embedded_faces, identities
from benchmarks.harness import needs_photographs
from benchmarks.results_file import Result
from facelib.audit.intervals import wilson
from facelib.clusters.gallery import Gallery, non_mated_scores, search, templates, threshold_at_fpir
from facelib.clusters.neighbours import FloatArray, normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.subject_heads import fit_heads, held_out_scores
from facelib.embeddings.embed import vectors_of
from facelib.errors import ConfigError
from facelib.reports.identification import IdentificationRates, identification_rates

PACKAGES = ("numpy", "scikit-learn", "torch")
_SEED = 0
_RATES = (0.01, 0.1)

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Faces:
    """Main faces: unit embeddings (n, d), quality scores (n,), subjects (n,)."""

    unit: FloatArray
    quality: Floats
    subjects: Names

    def only(self, rows: npt.NDArray[np.int64]) -> Faces:
        """Some of the faces."""
        return Faces(self.unit[rows], self.quality[rows], self.subjects[rows])


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Two tables: methods at given FPIR, and thresholds without labels. ConfigError without photographs."""
    if data is None:
        raise ConfigError(needs_photographs("identification"))
    faces, missing = _main_faces(data, quick)
    at_gallery, at_probes = split(faces.subjects)
    enrolled, probes = faces.only(at_gallery), faces.only(at_probes)
    found = {name: _searched(make(enrolled), probes) for name, make in _METHODS.items()}
    is_mated = np.isin(probes.subjects, enrolled.subjects)
    notes = (
        f"{data.name}, main face of each image ({missing} images without a face left out). Gallery: "
        f"{len(enrolled.subjects)} images of {len(set(enrolled.subjects))} subjects, half of the images (rounded down) "
        f"of each with two or more, drawn with seed {_SEED}. Probes: the other {int(is_mated.sum())} images (mated), "
        f"and {int((~is_mated).sum())} images of subjects with one image (non-mated).",
        "FNIR at FPIR: the threshold is the lowest score that at most this share of the non-mated searches exceeds; a "
        "search fails when its subject is not first, or not above the threshold. In brackets the Wilson 95 % interval.",
    )
    columns = ("gallery", "rank 1", *(f"FNIR at FPIR {r:g}" for r in _RATES))
    rows = tuple(_row(name, probes, enrolled, *result) for name, result in found.items())
    return [
        Result("Identification, one face against a gallery (1:N, open set)", columns, rows, notes),
        _thresholds(enrolled, probes, found),
    ]


def split(subjects: Names) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the gallery and of the probes, ascending."""
    rng = np.random.default_rng(_SEED)
    is_gallery = np.zeros(len(subjects), bool)
    for subject in np.unique(subjects):
        mine = np.flatnonzero(subjects == subject)
        is_gallery[rng.permutation(mine)[: len(mine) // 2]] = True
    return np.flatnonzero(is_gallery), np.flatnonzero(~is_gallery)


def _main_faces(data: Path, quick: bool) -> tuple[Faces, int]:
    """The main faces in the order of the paths, and how many images have none."""
    by_path = archive(data).by_path()
    if quick:
        by_path = dict(list(by_path.items())[:240])
    rows = embedded_faces(list(by_path.values()))
    rows = rows.filter(np.asarray(rows.column("face_index")) == 0)
    identity_of, path_of = identities(data / "labels.csv"), {m.image_id: path for path, m in by_path.items()}
    subjects = np.array([identity_of[path_of[i]] for i in rows.column("image_id").to_pylist()])
    quality = rows.column("quality_score").to_numpy().astype(np.float64)
    return Faces(normalise(vectors_of(rows.column("embedding"))), quality, subjects), len(by_path) - len(rows)


def _weighted(faces: Faces) -> Gallery:
    return templates(faces.unit, faces.quality, faces.subjects.tolist())


def _mean(faces: Faces) -> Gallery:
    return templates(faces.unit, np.ones(len(faces.unit)), faces.subjects.tolist())


def _best_image(faces: Faces) -> Gallery:
    order = np.lexsort((-faces.quality, faces.subjects))
    first = order[np.unique(faces.subjects[order], return_index=True)[1]]
    return _mean(faces.only(first))


def _all_images(faces: Faces) -> Gallery:
    return Gallery(tuple(faces.subjects.tolist()), faces.unit, np.zeros(len(faces.unit), np.float32))


def _heads(faces: Faces) -> Gallery:
    return fit_heads(faces.unit, faces.subjects.tolist())


_METHODS: dict[str, Callable[[Faces], Gallery]] = {
    "image of best quality": _best_image,
    "all images, the nearest counts": _all_images,
    "template, plain mean": _mean,
    "**facelib**, quality-weighted template (`nearest`)": _weighted,
    "**facelib**, linear SVM per subject (`svm`)": _heads,
}


def _searched(gallery: Gallery, probes: Faces) -> tuple[Names, Floats]:
    """First candidate of each probe and its score."""
    index, score = search(probes.unit, gallery, 1)
    return np.array(gallery.subjects)[index[:, 0]], score[:, 0].astype(np.float64)


def _row(name: str, probes: Faces, enrolled: Faces, candidates: Names, scores: Floats) -> tuple[str, ...]:
    known = set(enrolled.subjects.tolist())
    is_mated = np.isin(probes.subjects, enrolled.subjects)
    at = [threshold_at_fpir(scores[~is_mated], r) for r in _RATES]
    rates = [identification_rates(probes.subjects, candidates, scores, known, t) for t in at]
    return (
        name,
        _share(rates[0].n_rank_one, rates[0].n_mated),
        *(_share(r.n_false_negative, r.n_mated) for r in rates),
    )


def _thresholds(enrolled: Faces, probes: Faces, found: dict[str, tuple[Names, Floats]]) -> Result:
    weighted, heads = list(_METHODS)[3:]
    names = enrolled.subjects.tolist()
    scores = {
        weighted: non_mated_scores(_weighted(enrolled)),
        heads: held_out_scores(enrolled.unit, enrolled.quality, names),
    }
    rows = [
        _realised(name, f"`--fpir {rate:g}`", threshold_at_fpir(scores[name], rate), probes, names, found[name])
        for name in scores
        for rate in _RATES
    ]
    default = ClusterSettings().fallback_floor
    rows.insert(0, _realised(weighted, "model (`cluster.fallback_floor`)", default, probes, names, found[weighted]))
    rows.append(_realised(heads, "the margin's middle", 0.0, probes, names, found[heads]))
    note = (
        "`--fpir`: the threshold comes from the gallery alone, each subject's template against the other subjects "
        "(see `facelib/clusters/gallery.py`). FPIR and FNIR: what the probes then show."
    )
    columns = ("gallery", "threshold from", "threshold", "FPIR", "FNIR")
    return Result("Thresholds that need no probe", columns, tuple(rows), (note,), text_columns=2)


def _realised(
    name: str, source: str, threshold: float, probes: Faces, enrolled: list[str], result: tuple[Names, Floats]
) -> tuple[str, ...]:
    found: IdentificationRates = identification_rates(probes.subjects, *result, set(enrolled), threshold)
    errors = _share(found.n_false_positive, found.n_non_mated), _share(found.n_false_negative, found.n_mated)
    return name, source, f"{threshold:.4f}", *errors


def _share(n: int, of: int) -> str:
    low, high = wilson(n, of)
    return f"{n / of:.3f} ({n} of {of}; {float(low):.3f}–{float(high):.3f})"
