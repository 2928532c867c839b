"""The crops of images that MTCNN's second and third network look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_boxes import Floats, Indices

Image8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

GREY = 127.5
"""Middle of the range of values; what the networks see outside an image."""


def cut(images: Sequence[Image8], owners: Indices, boxes: Floats, side: int, size: int) -> Iterator[torch.Tensor]:
    """Boxes of images as crops (n, 3, side, side), `size` at a time: values minus `GREY`, 0 outside the image.

    `images` (h, w, 3), of 2 px a side or more; `owners` (n,), ascending: the image of each box. Interpolation
    is bilinear. Sampling points are those of TensorFlow's `crop_and_resize`: the box's coordinates, times
    (size − 1) / size, are the centres of the crop's outermost pixels.
    """
    last = np.array([image.shape[1::-1] for image in images])[owners] - 1
    start, end = (boxes[:, k : k + 2] * last / (last + 1) for k in (0, 2))
    points = start[:, :, None] + (end - start)[:, :, None] * np.linspace(0, 1, side)
    inside = (points >= 0) & (points <= last[:, :, None])
    bounds = np.union1d(np.flatnonzero(np.diff(owners, prepend=-1)), np.arange(0, len(boxes) + 1, size))
    held = -1
    parts: list[torch.Tensor] = []
    for i, stop in pairwise([*bounds[bounds < len(boxes)].tolist(), len(boxes)]):
        if owners[i] != held:
            held = int(owners[i])
            window, origin = _window(images[held], points[i : np.searchsorted(owners, held, side="right")])
        parts.append(_sample(window, points[i:stop] - origin, inside[i:stop]))
        if stop % size == 0 or stop == len(boxes):
            yield torch.cat(parts) if len(parts) > 1 else parts[0]
            parts = []


def _window(image: Image8, points: Floats) -> tuple[torch.Tensor, Floats]:
    """The part of an image around the points (n, 2, side), px, as (1, 3, h, w), and its left and top (2, 1)."""
    last = np.array(image.shape[1::-1])
    first = np.clip(points.min(axis=(0, 2)).astype(np.intp), 0, last - 2)
    end = np.clip(points.max(axis=(0, 2)).astype(np.intp) + 2, first + 2, last)
    part = image[first[1] : end[1], first[0] : end[0]]
    planes = np.empty((1, 3, *part.shape[:2]), np.float32)
    for plane, channel in zip(planes[0], cv2.split(part), strict=True):
        plane[:] = channel
    return torch.from_numpy(planes), first[:, None].astype(np.float64)


def _sample(planes: torch.Tensor, points: Floats, inside: Flags) -> torch.Tensor:
    """Crops at the crossings of x and y in `points` (n, 2, side), px; 0 where not `inside`."""
    n, _, side = points.shape
    extent = np.array([[planes.shape[3] - 1], [planes.shape[2] - 1]])
    places = (points * (2 / extent) - 1).astype(np.float32)
    grid = np.empty((n, side, side, 2), np.float32)
    grid[..., 0] = places[:, 0, None, :]
    grid[..., 1] = places[:, 1, :, None]
    shared = planes.expand(n, -1, -1, -1)
    crops = F.grid_sample(shared, torch.from_numpy(grid), padding_mode="border", align_corners=True)
    crops -= GREY
    if not inside.all():
        shown = inside[:, 1, :, None] & inside[:, 0, None, :]
        crops *= torch.from_numpy(shown[:, None].astype(np.float32))
    return crops
