"""Decoding of YuNet's outputs into boxes, scores and points.

Source: Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", 2023, its repository
ShiqiYu/libfacedetection.train, and OpenCV's `FaceDetectorYN`.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from facelib.faces.detector import Detections

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
"""Sides of the cells of the three output grids, in px of the input."""

OUTPUTS = tuple(f"{name}_{stride}" for stride in STRIDES for name in ("cls", "obj", "bbox", "kps"))
_NMS_OVERLAP = 0.45
"""Intersection over union; the value of the repository."""


def decode(heads: Mapping[str, Floats], columns: Mapping[int, int], min_score: float) -> Detections:
    """Candidates that score at least `min_score`, in px of the input, before non-maximum suppression.

    `heads`: the outputs by name, for n cells in rows: `cls_<stride>` and `obj_<stride>` (1, n, 1), 0 to 1;
    `bbox_<stride>` (1, n, 4): centre relative to the cell's corner, in cells, and logarithm of width and
    height in cells; `kps_<stride>` (1, n, 10): x, y of five points, like the centre. `columns`: cells in a
    row of the grid, by stride. The score is the geometric mean of `cls` and `obj`.
    """
    boxes, scores, points = [], [], []
    for stride in STRIDES:
        score = np.sqrt(np.clip(heads[f"cls_{stride}"], 0, 1) * np.clip(heads[f"obj_{stride}"], 0, 1)).ravel()
        cells = np.flatnonzero(score >= min_score)
        corner = np.stack((cells % columns[stride], cells // columns[stride]), axis=1).astype(np.float32)
        box = heads[f"bbox_{stride}"][0, cells]
        size = np.exp(box[:, 2:])
        boxes.append(np.concatenate((corner + box[:, :2] - size / 2, size), axis=1) * stride)
        points.append((corner[:, None] + heads[f"kps_{stride}"][0, cells].reshape(-1, 5, 2)) * stride)
        scores.append(score[cells])
    return Detections(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points))


def suppressed(found: Detections) -> Detections:
    """The detections that overlap no better one, best score first (greedy non-maximum suppression)."""
    kept = cv2.dnn.NMSBoxes(found.boxes.tolist(), found.scores.tolist(), 0.0, _NMS_OVERLAP)
    return chosen(found, np.array(kept, np.intp).ravel())


def placed(found: Detections, scale: Floats, height: int, width: int) -> Detections:
    """Detections of the input as those of an image: coordinates times `scale` (x, y), boxes clipped to the image.

    Boxes altogether outside are dropped.
    """
    ends = np.concatenate((found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]), axis=1) * np.tile(scale, 2)
    ends = np.clip(ends, 0, np.array([width, height] * 2, np.float32))
    boxes = np.concatenate((ends[:, :2], ends[:, 2:] - ends[:, :2]), axis=1)
    seen = np.flatnonzero((boxes[:, 2:] > 0).all(axis=1))
    return chosen(Detections(boxes, found.scores, found.points * scale), seen)


def chosen(found: Detections, which: npt.NDArray[np.intp]) -> Detections:
    """The detections of those indices, in that order."""
    return Detections(found.boxes[which], found.scores[which], found.points[which])
