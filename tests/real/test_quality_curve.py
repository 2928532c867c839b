"""Real photographs, half of them degraded: discarding the faces of least quality discards the errors."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facelib.clusters.neighbours import normalise
from facelib.embeddings.model import load_model
from facelib.faces.chip import cut_chip
from facelib.faces.detector import DetectSettings
from facelib.faces.landmarks import box_from_detection
from facelib.faces.measures import measure_chip, measure_geometry
from facelib.faces.models import FaceModels, load_models
from facelib.faces.quality import QUALITY_COLUMNS, QualitySettings, quality_score
from facelib.reports.error_discard import Comparisons, error_discard_curve, least_quality

DATA = Path(os.environ.get("FACELIB_DATA", Path(__file__).parents[3] / "shared" / "data")) / "lfw_dev"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="the photographs ../shared/data/lfw_dev are not on this machine"),
]
SUBJECTS = 80
Image = npt.NDArray[np.uint8]


def _shrunk(image: Image, rng: np.random.Generator) -> Image:
    small = cv2.resize(image, (45, 45), interpolation=cv2.INTER_AREA)  # 40 px between the eyes become 7
    return np.asarray(cv2.resize(small, (250, 250), interpolation=cv2.INTER_LINEAR))


def _covered(image: Image, rng: np.random.Generator) -> Image:
    out, top = image.copy(), int(rng.integers(95, 120))
    out[top : top + 45, 80:170] = rng.integers(0, 256, 3)
    return out


DEGRADATIONS: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "blur": lambda image, rng: np.asarray(cv2.GaussianBlur(image, (0, 0), 4)),
    "size": _shrunk,
    "darkness": lambda image, rng: (image * 0.07).astype(np.uint8),
    "noise": lambda image, rng: np.clip(image + rng.normal(0, 50, image.shape), 0, 255).astype(np.uint8),
    "cover": _covered,
}


def _points(image: Image, models: FaceModels) -> npt.NDArray[np.float64]:
    """Landmarks (5, 2) of the face nearest to the middle."""
    boxes = models.detector.detect_many([image])[0].boxes
    nearest = np.argmin(np.hypot(*(boxes[:, :2] + boxes[:, 2:] / 2 - 125).T))
    return models.predictor.predict(image, box_from_detection(*boxes[nearest].tolist()))


def test_discarding_by_quality_discards_errors_of_degraded_photographs() -> None:
    """Two photographs of each subject; of every second subject one is degraded, its face points kept."""
    with (DATA / "labels.csv").open(newline="", encoding="utf-8") as f:
        by_subject = itertools.groupby(sorted((r["identity"], r["file"]) for r in csv.DictReader(f)), lambda r: r[0])
    files = [[file for _, file in rows] for _, rows in by_subject]
    chosen = [group[:2] for group in files if len(group) > 1][:SUBJECTS]
    rng, models = np.random.default_rng(4), load_models(DetectSettings())
    chips, rows, kinds = [], [], []
    for number, file in enumerate(itertools.chain.from_iterable(chosen)):
        image = np.ascontiguousarray(cv2.imread(str(DATA / "images" / file))[:, :, ::-1])
        points = _points(image, models)
        kind = sorted(DEGRADATIONS)[number // 4 % len(DEGRADATIONS)] if number % 4 == 0 else "none"
        chips.append(cut_chip(DEGRADATIONS[kind](image, rng) if kind in DEGRADATIONS else image, points))
        row = vars(measure_geometry(points)) | vars(measure_chip(chips[-1]))
        rows.append(row | ({"eye_distance_px": 7.0} if kind == "size" else {}))
        kinds.append(kind)
    quality = quality_score({n: np.array([r[n] for r in rows], np.float64) for n in QUALITY_COLUMNS})
    clean = quality[np.array(kinds) == "none"]
    assert (clean >= QualitySettings().min_quality).mean() >= 0.99
    for kind in DEGRADATIONS:
        assert quality[np.array(kinds) == kind].mean() < clean.mean() * 0.75

    unit = normalise(load_model(mirror=True).embed(np.stack(chips)))
    first, second = np.triu_indices(len(chips), 1)
    similarity, lower = (unit @ unit.T)[first, second], np.minimum(quality[first], quality[second])
    mated, subject = first // 2 == second // 2, first // 2
    compared = (Comparisons(similarity[k], lower[k]) for k in (mated, ~mated))
    threshold = float(np.quantile(similarity[~mated], 0.999))
    points = error_discard_curve(
        next(compared), subject[mated], next(compared), threshold, least_quality(quality, [0.0, 0.1, 0.2, 0.3])
    )
    rates = [point.fnmr for point in points]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] / 2
    assert points[-1].change_ends[1] < 0
