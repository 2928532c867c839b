"""The cascade of MTCNN's three networks over many images at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from facelib.faces.detector import Detections
from facelib.faces.mtcnn_boxes import (
    CELL_PX,
    STRIDE_PX,
    Floats,
    Indices,
    by_score,
    cell_boxes,
    clip_boxes,
    keep_by_nms,
    place_points,
    refine,
    to_square,
)
from facelib.faces.mtcnn_canvas import Layout, lay_out
from facelib.faces.mtcnn_crops import cut
from facelib.faces.mtcnn_networks import describe_crops, load_judge, load_proposer, offsets_of, propose, refine_crops
from facelib.faces.mtcnn_pyramid import fill_level, pyramid_scales, summed_areas

Image8 = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]
Thresholds = tuple[float, float, float]
Candidates = tuple[Indices, Floats, Scores]
"""Image (n,), ascending, box (n, 4) and score (n,) of each; scores descend within an image."""

_NMS_LEVEL, _NMS_PYRAMID, _NMS_REFINED, _NMS_FINAL = 0.5, 0.7, 0.7, 0.7
_CANVAS_PX = 100_000
"""Area of the levels of several images that share a canvas."""
_STRIP_PX = 500_000
"""Area that the first network scans at once; it takes some 150 bytes for each px."""
_CELL_BATCH, _REFINE_BATCH, _DESCRIBE_BATCH = 128, 48, 16
"""Cells and crops a network takes at once: more are slower, as their activations leave the cache."""


@dataclass(frozen=True)
class _Level:
    image: int
    scale: float
    rows: int
    columns: int


class Cascade:
    """The networks. Holds 2 MB of weights."""

    def __init__(self) -> None:
        self._pnet = load_proposer()
        self._rnet = load_judge("rnet")
        self._onet = load_judge("onet")

    @torch.inference_mode()
    def search(
        self, images: Sequence[Image8], smallest_px: Sequence[float], scale_factor: float, thresholds: Thresholds
    ) -> list[Detections]:
        """Faces of each image (h, w, 3), best score first, down to its `smallest_px`.

        What is found in an image is the same, bit for bit, whatever other images come with it.
        """
        owners, boxes = self._propose(images, smallest_px, scale_factor, thresholds[0])
        owners, boxes = self._refine(images, owners, boxes, thresholds[1])
        owners, boxes, scores, points = self._describe(images, owners, boxes, thresholds[2])
        ends = np.searchsorted(owners, np.arange(len(images) + 1))
        return [
            _finished(image, boxes[k:n], scores[k:n], points[k:n])
            for image, k, n in zip(images, ends[:-1], ends[1:], strict=True)
        ]

    def _propose(
        self, images: Sequence[Image8], smallest_px: Sequence[float], scale_factor: float, threshold: float
    ) -> tuple[Indices, Floats]:
        """Squares that the first network takes for faces."""
        found = [
            self._scan(images, levels, threshold) for levels in _canvases(_levels(images, smallest_px, scale_factor))
        ]
        if not found:
            return np.empty(0, np.intp), np.empty((0, 4))
        owners, boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        owners, boxes, _ = _suppress(owners, boxes, scores, _NMS_PYRAMID)
        return owners, to_square(boxes)

    def _scan(self, images: Sequence[Image8], levels: Sequence[_Level], threshold: float) -> Candidates:
        """Candidates of these levels."""
        layout = lay_out(tuple((level.rows, level.columns) for level in levels))
        rows, columns, scores, offsets = self._cells(_drawn(images, levels, layout), layout, threshold)
        owners = layout.owners[rows, columns]
        order = by_score(scores, owners)
        order = order[owners[order] >= 0]
        owners, scores = owners[order], scores[order]
        first = layout.corners[owners] // STRIDE_PX
        boxes = cell_boxes(rows[order] - first[:, 0], columns[order] - first[:, 1], offsets[order].astype(np.float64))
        boxes /= np.array([level.scale for level in levels])[owners, None]
        kept = keep_by_nms(boxes, owners, _NMS_LEVEL)
        return np.array([level.image for level in levels])[owners[kept]], boxes[kept], scores[kept]

    def _cells(
        self, canvas: torch.Tensor, layout: Layout, threshold: float
    ) -> tuple[Indices, Indices, Scores, npt.NDArray[np.float32]]:
        """Row, column, score and offsets of the cells of the first network's output that reach the threshold.

        A large canvas is scanned in strips, whose windows overlap.
        """
        step = max(1, _STRIP_PX // (STRIDE_PX * layout.width))
        found = []
        for start in range(0, len(layout.owners), step):
            top = start * STRIDE_PX
            strip = canvas[:, :, top : top + step * STRIDE_PX + CELL_PX - STRIDE_PX]
            edges = [(max(a - top, 0), max(b - top, 0), left, right) for a, b, left, right in layout.edges]
            scores, features = propose(self._pnet, strip, edges)
            rows, columns = np.divmod(np.flatnonzero(scores.numpy() > threshold), scores.shape[1])
            batches = torch.split(features[rows, columns], _CELL_BATCH)
            (offsets,) = _through(lambda cells: (offsets_of(self._pnet, cells),), batches, _CELL_BATCH)
            found.append((rows + start, columns, scores.numpy()[rows, columns], offsets))
        rows, columns, scores, offsets = (np.concatenate(part) for part in zip(*found, strict=True))
        return rows, columns, scores, offsets

    def _refine(
        self, images: Sequence[Image8], owners: Indices, boxes: Floats, threshold: float
    ) -> tuple[Indices, Floats]:
        """Squares that the second network takes for faces, moved by it."""
        if len(boxes) == 0:
            return owners, boxes
        batches = cut(images, owners, boxes, 24, _REFINE_BATCH)
        scores, offsets = _through(partial(refine_crops, self._rnet), batches, _REFINE_BATCH)
        sure = scores > threshold
        boxes = refine(boxes[sure], offsets[sure].astype(np.float64))
        owners, boxes, _ = _suppress(owners[sure], boxes, scores[sure], _NMS_REFINED)
        return owners, to_square(boxes)

    def _describe(
        self, images: Sequence[Image8], owners: Indices, boxes: Floats, threshold: float
    ) -> tuple[Indices, Floats, Scores, Floats]:
        """Images, boxes, scores and points that the third network gives."""
        if len(boxes) == 0:
            return owners, boxes, np.empty(0, np.float32), np.empty((0, 5, 2))
        batches = cut(images, owners, boxes, 48, _DESCRIBE_BATCH)
        scores, offsets, relative = _through(partial(describe_crops, self._onet), batches, _DESCRIBE_BATCH)
        order = by_score(scores, owners)
        order = order[scores[order] > threshold]
        owners, boxes, scores = owners[order], boxes[order], scores[order]
        points = place_points(boxes, relative[order].astype(np.float64))
        boxes = refine(boxes, offsets[order].astype(np.float64))
        kept = keep_by_nms(boxes, owners, _NMS_FINAL, over="min")
        return owners[kept], boxes[kept], scores[kept], points[kept]


def _through(
    network: Callable[[torch.Tensor], tuple[torch.Tensor, ...]], batches: Iterable[torch.Tensor], size: int
) -> list[npt.NDArray[np.float32]]:
    """What the network gives for all batches, one after the other.

    It is always given `size` items, the last ones empty: kernels are chosen by the number of items, and round
    differently.
    """
    parts = []
    for batch in batches:
        n = len(batch)
        if n < size:
            batch = torch.cat((batch, batch.new_zeros(size - n, *batch.shape[1:])))
        parts.append([output[:n] for output in network(batch)])
    return [torch.cat(part).numpy() for part in zip(*parts, strict=True)]


def _levels(images: Sequence[Image8], smallest_px: Sequence[float], scale_factor: float) -> Iterator[list[_Level]]:
    """The levels of each image that has any."""
    for i, (image, px) in enumerate(zip(images, smallest_px, strict=True)):
        height, width = image.shape[:2]
        scales = pyramid_scales(height, width, px, scale_factor)
        if scales:
            yield [_Level(i, scale, int(height * scale), int(width * scale)) for scale in scales]


def _canvases(pyramids: Iterator[list[_Level]]) -> Iterator[list[_Level]]:
    """Levels that share a canvas: those of as many images as `_CANVAS_PX` allows, or of one."""
    levels: list[_Level] = []
    held = 0
    for pyramid in pyramids:
        area = sum(level.rows * level.columns for level in pyramid)
        if levels and held + area > _CANVAS_PX:
            yield levels
            levels, held = [], 0
        levels += pyramid
        held += area
    if levels:
        yield levels


def _drawn(images: Sequence[Image8], levels: Sequence[_Level], layout: Layout) -> torch.Tensor:
    """The levels on their canvas, (1, 3, h, w) with interleaved channels."""
    canvas = np.zeros((layout.height, layout.width, 3), np.float32)
    placed = zip(levels, layout.corners.tolist(), strict=True)
    for image, group in groupby(placed, key=lambda place: place[0].image):
        table = summed_areas(images[image])
        for level, (row, column) in group:
            fill_level(table, canvas[row : row + level.rows, column : column + level.columns])
    return torch.from_numpy(canvas).permute(2, 0, 1)[None]


def _suppress(owners: Indices, boxes: Floats, scores: Scores, threshold: float) -> Candidates:
    order = by_score(scores, owners)
    owners, boxes = owners[order], boxes[order]
    kept = keep_by_nms(boxes, owners, threshold)
    return owners[kept], boxes[kept], scores[order][kept]


def _finished(image: Image8, boxes: Floats, scores: Scores, points: Floats) -> Detections:
    """Boxes limited to the image; those altogether outside are dropped."""
    boxes = clip_boxes(boxes, *image.shape[:2])
    boxes[:, 2:] -= boxes[:, :2]
    seen = (boxes[:, 2:] > 0).all(axis=1)
    return Detections(boxes[seen].astype(np.float32), scores[seen], points[seen].astype(np.float32))
