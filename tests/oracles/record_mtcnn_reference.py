"""Record what the original MTCNN (package `mtcnn` 1.0.0, TensorFlow) finds in the reference pictures.

How to run, in an environment of its own, so that the project's needs no TensorFlow:

    python3.11 -m venv /tmp/original
    /tmp/original/bin/pip install mtcnn==1.0.0 tensorflow-cpu==2.21.0 scikit-image
    /tmp/original/bin/python tests/oracles/record_mtcnn_reference.py

It writes mtcnn_reference.json beside itself. The original is called as it is, with two exceptions.

- Its number of pyramid levels ignores `min_face_size`, so that from about 30 px on it scales images below
  the 11 px its first network needs and Keras raises ValueError ("empty output"). Those levels are left out
  here; `levels_left_out` counts them.
- It sorts candidates by score with NumPy's unstable sort, so that the order of equal scores (the first
  network's saturate) depends on NumPy's version and the processor. The sort is made stable here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mtcnn import MTCNN
from mtcnn.stages import stage_pnet
from mtcnn.utils import bboxes
from mtcnn_pictures import Picture, pictures, sha256

MIN_LEVEL_PX = 11
ORIGINAL_THRESHOLDS = (0.6, 0.7, 0.8)
LOWER_THRESHOLDS = (0.5, 0.6, 0.5)

original_scales = stage_pnet.build_scale_pyramid


def usable_scales(width: int, height: int, **options: Any) -> npt.NDArray[np.float64]:
    """The original's scales, without those too small for its first network."""
    scales = original_scales(width, height, **options)
    return scales[(min(width, height) * scales).astype(int) >= MIN_LEVEL_PX]


def stable_sort(
    rows: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], ascending: bool = True
) -> npt.NDArray[np.float64]:
    """The original's `sort_by_scores`, with a stable sort."""
    order = np.argsort(scores, kind="stable")
    return rows[order if ascending else order[::-1]]


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of picture, settings) of every record."""
    base = {"min_face_px": 40, "scale_factor": 0.709, "thresholds": ORIGINAL_THRESHOLDS}
    for name in pictures():
        yield name, base
        yield name, base | {"min_face_px": 20}
    for name in ("astronaut_third", "collage_small", "cartoon_five"):
        yield name, base | {"min_face_px": 12}
        yield name, base | {"thresholds": LOWER_THRESHOLDS}
        yield name, base | {"scale_factor": 0.8, "min_face_px": 25}


def record(detector: MTCNN, picture: Picture, chosen: dict[str, Any]) -> dict[str, Any]:
    """One record: settings, and boxes (x, y, width, height), scores and points of the original."""
    first, second, third = chosen["thresholds"]
    found = detector.detect_faces(
        picture,
        output_type="numpy",
        min_face_size=chosen["min_face_px"],
        scale_factor=chosen["scale_factor"],
        threshold_pnet=first,
        threshold_rnet=second,
        threshold_onet=third,
    ).reshape(-1, 16)
    options = {"min_face_size": chosen["min_face_px"], "scale_factor": chosen["scale_factor"]}
    height, width = picture.shape[:2]
    left_out = len(original_scales(width, height, **options)) - len(usable_scales(width, height, **options))
    return {
        **chosen,
        "levels_left_out": left_out,
        "boxes": found[:, 1:5].tolist(),
        "scores": found[:, 5].tolist(),
        "points": np.stack((found[:, 6:11], found[:, 11:16]), axis=-1).tolist(),
    }


def main() -> None:
    """Record all pictures."""
    stage_pnet.build_scale_pyramid = usable_scales
    bboxes.sort_by_scores = stable_sort
    detector = MTCNN()
    drawn = pictures()
    records = [
        {"picture": name, "pixels_sha256": sha256(drawn[name]), **record(detector, drawn[name], chosen)}
        for name, chosen in settings()
    ]
    made_with = {package: version(package) for package in ("mtcnn", "tensorflow-cpu", "keras", "numpy")}
    target = Path(__file__).with_name("mtcnn_reference.json")
    target.write_text(json.dumps({"made_with": made_with, "records": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
