"""MTCNN face detector on PyTorch, equal to the `mtcnn` 1.0.0 package (TensorFlow).

Three networks in cascade: the first scans an image pyramid in 12 px windows, the second judges what is left
at 24 px, the third at 48 px and adds five points. tests/unit/test_mtcnn.py proves the equality: boxes and
points to 0.01 px. The original leaves the order of equal scores to an unstable sort, which moved its boxes
by 0.7 to 4.6 px in 2 of 120 photographs; here the order is fixed.

With `DetectSettings.retry`, an image without a face is searched again, until a face is found:

1. with the stages' thresholds lowered to 0.5, 0.6, 0.5 at most;
2. so, at half size in a grey margin, for a face that fills the image;
3. so, at full size, after equalising the histogram of brightness.

A face found by a retry can have a score below `thresholds[2]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.detector import BoxFit, Detections, DetectSettings
from facelib.faces.mtcnn_boxes import (
    Floats,
    by_score,
    cell_boxes,
    clip_boxes,
    keep_by_nms,
    place_points,
    refine,
    to_square,
)
from facelib.faces.mtcnn_networks import describe_crops, load_layers, propose, refine_crops
from facelib.faces.mtcnn_pyramid import MIN_LEVEL_PX, normalised, pyramid, pyramid_scales
from facelib.faces.mtcnn_retry import equalised, halved, undo_halving
from facelib.faces.mtcnn_weights import weights_digest

RETRY_THRESHOLDS = (0.5, 0.6, 0.5)
_NMS_LEVEL, _NMS_PYRAMID, _NMS_REFINED, _NMS_FINAL = 0.5, 0.7, 0.7, 0.7
_REFINE_BATCH, _DESCRIBE_BATCH = 16, 8
"""Crops a network takes at once: more are slower, as their activations leave the cache."""


class Mtcnn:
    """The detector. Holds 2 MB of weights; use one per process. Torch's thread count is the caller's to set.

    Raises ConfigError when the package with the weights is missing or not version 1.0.0.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        self._pnet = load_layers("pnet")
        self._rnet = load_layers("rnet")
        self._onet = load_layers("onet")

    @property
    def detector_id(self) -> str:
        """`mtcnn-1.0.0-` and 12 hex digits of the weights; settings are not part of it."""
        return f"mtcnn-1.0.0-{weights_digest()}"

    def detect(self, image: npt.NDArray[np.uint8]) -> Detections:
        """Faces of an RGB image (h, w, 3) uint8, best score first; none where a side is below 21 px or so.

        Boxes altogether outside the image are dropped. Raises ValueError for any other shape or dtype.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image is {image.dtype} {image.shape}: give RGB uint8 (h, w, 3)")
        found = self._search(image, self.settings)
        if len(found) or not self.settings.retry:
            return found
        return self._search_again(image)

    box_fit = BoxFit(1.0, 0.06)

    def detect_many(
        self, images: Sequence[npt.NDArray[np.uint8]], smallest_px: Sequence[float] | None = None
    ) -> list[Detections]:
        """`detect` of each image."""
        return [self.detect(image) for image in images]

    def _search_again(self, image: npt.NDArray[np.uint8]) -> Detections:
        height, width = image.shape[:2]
        if min(height, width) < MIN_LEVEL_PX:
            return _no_face()
        first, second, third = map(min, self.settings.thresholds, RETRY_THRESHOLDS)
        settings = replace(self.settings, thresholds=(first, second, third))
        found = self._search(image, settings)
        if len(found) == 0:
            found = undo_halving(self._search(halved(image), settings), height, width)
        if len(found) == 0:
            found = self._search(equalised(image), settings)
        return found

    @torch.inference_mode()
    def _search(self, image: npt.NDArray[np.uint8], settings: DetectSettings) -> Detections:
        height, width = image.shape[:2]
        proposed = self._propose(image, settings)
        if len(proposed) == 0:
            return _no_face()
        planes = torch.from_numpy(normalised(image)).permute(2, 0, 1)[None].contiguous()
        refined = self._refine(planes, proposed, settings.thresholds[1])
        if len(refined) == 0:
            return _no_face()
        boxes, scores, points = self._describe(planes, refined, settings.thresholds[2])
        boxes = clip_boxes(boxes, height, width)
        boxes[:, 2:] -= boxes[:, :2]
        seen = (boxes[:, 2:] > 0).all(axis=1)
        return Detections(boxes[seen].astype(np.float32), scores[seen], points[seen].astype(np.float32))

    def _propose(self, image: npt.NDArray[np.uint8], settings: DetectSettings) -> Floats:
        """Squares that the first network takes for faces."""
        height, width = image.shape[:2]
        scales = pyramid_scales(height, width, settings.min_face_px, settings.scale_factor)
        boxes: list[Floats] = [np.empty((0, 4))]
        scores: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)]
        for scale, level in zip(scales, pyramid(image, scales), strict=True):
            outputs = propose(self._pnet, torch.from_numpy(level).permute(2, 0, 1)[None])
            level_scores, offsets = (t.numpy() for t in outputs)
            rows, columns = np.nonzero(level_scores > settings.thresholds[0])
            if len(rows) == 0:
                continue
            score = level_scores[rows, columns]
            order = by_score(score)
            rows, columns = rows[order], columns[order]
            box = cell_boxes(rows, columns, offsets[rows, columns].astype(np.float64)) / scale
            kept = keep_by_nms(box, _NMS_LEVEL)
            boxes.append(box[kept])
            scores.append(score[order][kept])
        return to_square(_suppress(np.concatenate(boxes), np.concatenate(scores), _NMS_PYRAMID))

    def _refine(self, planes: torch.Tensor, boxes: Floats, threshold: float) -> Floats:
        """Squares that the second network takes for faces, moved by it."""
        runs = batches(boxes, _REFINE_BATCH)
        parts = [refine_crops(self._rnet, cut(planes, some, 24)) for some in runs]
        score, offsets = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        sure = score > threshold
        boxes = refine(boxes[sure], offsets[sure].astype(np.float64))
        return to_square(_suppress(boxes, score[sure], _NMS_REFINED))

    def _describe(
        self, planes: torch.Tensor, boxes: Floats, threshold: float
    ) -> tuple[Floats, npt.NDArray[np.float32], Floats]:
        """Boxes, scores and points that the third network gives."""
        runs = batches(boxes, _DESCRIBE_BATCH)
        parts = [describe_crops(self._onet, cut(planes, some, 48)) for some in runs]
        score, offsets, relative = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        order = by_score(score)
        order = order[score[order] > threshold]
        score, boxes = score[order], boxes[order]
        points = place_points(boxes, relative[order].astype(np.float64))
        boxes = refine(boxes, offsets[order].astype(np.float64))
        kept = keep_by_nms(boxes, _NMS_FINAL, over="min")
        return boxes[kept], score[kept], points[kept]


def cut(planes: torch.Tensor, boxes: Floats, side: int) -> torch.Tensor:
    """Boxes of an image (1, 3, h, w) as (n, 3, side, side), bilinear; 0 outside the image.

    Sampling points are those of TensorFlow's `crop_and_resize`: the box's coordinates, times
    (size − 1) / size, are the centres of the crop's outermost pixels.
    """
    height, width = planes.shape[2:]
    n = len(boxes)
    steps = np.linspace(0, 1, side)
    x = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps) / width
    y = (boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps) / height
    grid = np.empty((n, side, side, 2), np.float32)
    grid[..., 0] = (2 * x - 1)[:, None, :]
    grid[..., 1] = (2 * y - 1)[:, :, None]
    crops = F.grid_sample(planes.expand(n, -1, -1, -1), torch.from_numpy(grid), align_corners=True)
    inside = ((y >= 0) & (y <= 1))[:, :, None] & ((x >= 0) & (x <= 1))[:, None, :]
    return crops if inside.all() else crops * torch.from_numpy(inside)[:, None]


def batches(boxes: Floats, size: int) -> list[Floats]:
    """The boxes in runs of at most `size`."""
    return [boxes[i : i + size] for i in range(0, len(boxes), size)]


def _suppress(boxes: Floats, scores: npt.NDArray[np.float32], threshold: float) -> Floats:
    boxes = boxes[by_score(scores)]
    return boxes[keep_by_nms(boxes, threshold)]


def _no_face() -> Detections:
    return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))
