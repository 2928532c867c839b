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

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.detector import Detections, DetectSettings
from facelib.faces.landmarks import MTCNN_FIT
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
from facelib.faces.mtcnn_canvas import paint
from facelib.faces.mtcnn_networks import describe_crops, load_layers, offsets_of, propose, refine_crops
from facelib.faces.mtcnn_pyramid import MIN_LEVEL_PX, normalised, pyramid, pyramid_scales
from facelib.faces.mtcnn_retry import equalised, halved, undo_halving
from facelib.faces.mtcnn_weights import weights_digest

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

RETRY_THRESHOLDS = (0.5, 0.6, 0.5)
_NMS_LEVEL, _NMS_PYRAMID, _NMS_REFINED, _NMS_FINAL = 0.5, 0.7, 0.7, 0.7
_REFINE_BATCH, _DESCRIBE_BATCH = 32, 8
"""Crops a network takes at once: more are slower, as their activations leave the cache."""
_RETRIES: tuple[tuple[Callable[[Pixels], Pixels], Callable[[Detections, int, int], Detections]], ...] = (
    (lambda image: image, lambda found, height, width: found),
    (halved, undo_halving),
    (equalised, lambda found, height, width: found),
)


class Mtcnn:
    """The detector. Holds 2 MB of weights; use one per process. Torch's thread count is the caller's to set.

    Raises ConfigError when the package with the weights is missing or not version 1.0.0.
    """

    box_fit = MTCNN_FIT

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        self._pnet = load_layers("pnet")
        self._rnet = load_layers("rnet")
        self._onet = load_layers("onet")

    @property
    def detector_id(self) -> str:
        """`mtcnn-1.0.0-` and 12 hex digits of the weights; settings are not part of it."""
        return f"mtcnn-1.0.0-{weights_digest()}"

    def detect(self, image: Pixels) -> Detections:
        """`detect_many` of one image."""
        return self.detect_many([image])[0]

    def detect_many(self, images: Sequence[Pixels], smallest_px: Sequence[float] | None = None) -> list[Detections]:
        """Faces of each RGB image (h, w, 3) uint8, best score first; none where a side is below 21 px or so.

        The crops of all images go through the second and third network together; what is found in an image does
        not depend on the others. Boxes altogether outside an image are dropped. `smallest_px`: as the protocol
        `Detector` says. Raises ValueError for any other shape or dtype.
        """
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"image is {image.dtype} {image.shape}: give RGB uint8 (h, w, 3)")
        if smallest_px is None:
            smallest_px = [self.settings.smallest_px(*image.shape[:2]) for image in images]
        found = self._search(images, smallest_px, self.settings.thresholds)
        if self.settings.retry:
            self._search_again(images, smallest_px, found)
        return found

    def _search_again(self, images: Sequence[Pixels], smallest_px: Sequence[float], found: list[Detections]) -> None:
        """Search the images without a face in altered copies; `found` gets what is there."""
        first, second, third = map(min, self.settings.thresholds, RETRY_THRESHOLDS)
        waiting = [i for i, image in enumerate(images) if not len(found[i]) and min(image.shape[:2]) >= MIN_LEVEL_PX]
        for alter, undo in _RETRIES:
            altered = [alter(images[i]) for i in waiting]
            again = self._search(altered, [smallest_px[i] for i in waiting], (first, second, third))
            for i, detections in zip(waiting, again, strict=True):
                found[i] = undo(detections, *images[i].shape[:2])
            waiting = [i for i in waiting if not len(found[i])]

    @torch.inference_mode()
    def _search(
        self, images: Sequence[Pixels], smallest_px: Sequence[float], thresholds: tuple[float, float, float]
    ) -> list[Detections]:
        proposed = [self._propose(image, px, thresholds[0]) for image, px in zip(images, smallest_px, strict=True)]
        planes = [
            torch.from_numpy(normalised(image)) if len(boxes) else None
            for image, boxes in zip(images, proposed, strict=True)
        ]
        refined = self._refine(planes, proposed, thresholds[1])
        described = self._describe(planes, refined, thresholds[2])
        return [_inside(*faces, *image.shape[:2]) for faces, image in zip(described, images, strict=True)]

    def _propose(self, image: Pixels, smallest_px: float, threshold: float) -> Floats:
        """Squares that the first network takes for faces."""
        height, width = image.shape[:2]
        scales = pyramid_scales(height, width, smallest_px, self.settings.scale_factor)
        if not scales:
            return np.empty((0, 4))
        canvas, places = paint(list(pyramid(image, scales)))
        rims = [rim for place in places for rim in place.rims]
        score_map, features = propose(self._pnet, torch.from_numpy(canvas).permute(2, 0, 1)[None], rims)
        all_scores = score_map.numpy()
        boxes: list[Floats] = [np.empty((0, 4))]
        scores: list[Scores] = [np.empty(0, np.float32)]
        for scale, place in zip(scales, places, strict=True):
            level_scores = all_scores[place.output]
            rows, columns = np.nonzero(level_scores > threshold)
            if len(rows) == 0:
                continue
            score = level_scores[rows, columns]
            order = by_score(score)
            rows, columns = rows[order], columns[order]
            offsets = offsets_of(self._pnet, features[place.output][rows, columns]).numpy().astype(np.float64)
            box = cell_boxes(rows, columns, offsets) / scale
            kept = keep_by_nms(box, _NMS_LEVEL)
            boxes.append(box[kept])
            scores.append(score[order][kept])
        return to_square(_suppress(np.concatenate(boxes), np.concatenate(scores), _NMS_PYRAMID))

    def _refine(self, planes: Sequence[torch.Tensor | None], boxes: Sequence[Floats], threshold: float) -> list[Floats]:
        """Squares that the second network takes for faces, moved by it, of each image."""
        score, offsets = _through(lambda crops: refine_crops(self._rnet, crops), planes, boxes, 24, _REFINE_BATCH)
        refined = []
        for own, own_score, own_offsets in _by_image(boxes, score, offsets):
            sure = own_score > threshold
            moved = refine(own[sure], own_offsets[sure].astype(np.float64))
            refined.append(to_square(_suppress(moved, own_score[sure], _NMS_REFINED)))
        return refined

    def _describe(
        self, planes: Sequence[torch.Tensor | None], boxes: Sequence[Floats], threshold: float
    ) -> list[tuple[Floats, Scores, Floats]]:
        """Boxes, scores and points that the third network gives, of each image."""
        outputs = _through(lambda crops: describe_crops(self._onet, crops), planes, boxes, 48, _DESCRIBE_BATCH)
        described = []
        for own, score, offsets, relative in _by_image(boxes, *outputs):
            order = by_score(score)
            order = order[score[order] > threshold]
            score, own = score[order], own[order]
            points = place_points(own, relative[order].astype(np.float64))
            moved = refine(own, offsets[order].astype(np.float64))
            kept = keep_by_nms(moved, _NMS_FINAL, over="min")
            described.append((moved[kept], score[kept], points[kept]))
        return described


def _through(
    network: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
    planes: Sequence[torch.Tensor | None],
    boxes: Sequence[Floats],
    side: int,
    batch: int,
) -> list[Scores]:
    """What the network gives for the boxes of all images, one after the other.

    It is always given `batch` crops, the last ones empty: kernels are chosen by size, and round differently.
    """
    crops = [cut(p, b, side) for p, b in zip(planes, boxes, strict=True) if p is not None and len(b)]
    n = sum(map(len, crops))
    filling = torch.zeros(max(1, -(-n // batch)) * batch - n, 3, side, side)
    full = torch.cat([*crops, filling]).contiguous(memory_format=torch.channels_last)
    parts = [network(some) for some in torch.split(full, batch)]
    return [torch.cat(part)[:n].numpy() for part in zip(*parts, strict=True)]


def _by_image(boxes: Sequence[Floats], *outputs: Scores) -> Iterator[tuple[Any, ...]]:
    """Boxes and outputs of each image in turn."""
    ends = np.cumsum([len(b) for b in boxes])
    for own, end in zip(boxes, ends, strict=True):
        yield own, *(output[end - len(own) : end] for output in outputs)


def _inside(boxes: Floats, scores: Scores, points: Floats, height: int, width: int) -> Detections:
    boxes = clip_boxes(boxes, height, width)
    boxes[:, 2:] -= boxes[:, :2]
    seen = (boxes[:, 2:] > 0).all(axis=1)
    return Detections(boxes[seen].astype(np.float32), scores[seen], points[seen].astype(np.float32))


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


def _suppress(boxes: Floats, scores: Scores, threshold: float) -> Floats:
    boxes = boxes[by_score(scores)]
    return boxes[keep_by_nms(boxes, threshold)]
