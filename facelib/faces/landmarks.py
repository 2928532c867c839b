"""Five landmarks in a face box: dlib's `shape_predictor` with its 5-point model, in NumPy.

Method: Kazemi and Sullivan 2014, "One millisecond face alignment with an ensemble of regression trees".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from facelib.assets import Arrays, cached_arrays, package_file
from facelib.faces.detector import BoxFit
from facelib.faces.dlib_format import read_shape_predictor

Box = tuple[int, int, int, int]
Image8 = npt.NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)

_PACKAGE = "face_recognition_models"
_FILE = "models/shape_predictor_5_face_landmarks.dat"
_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
_BLOCK_SIZES = (1, 2, 4, 8, 16)
"""Faces computed together; any other number is filled up to the next size."""

MTCNN_FIT = BoxFit(1.0, 0.06)
"""Of MTCNN's boxes: medians of their ratio to those of `dlib.get_frontal_face_detector`, which searched the
photograph enlarged once, over 300 photographs (LFW, seeded sample): 1.003 and 0.061, rounded."""

PREDICTOR_ID = f"dlib_5_points-{_SHA256[:8]}"
"""Names the predictor and its weights."""


class FivePointPredictor:
    """Regression-tree landmark predictor; the points equal those of `dlib.shape_predictor`.

    Only a coordinate that falls on half a pixel to the last bit can be rounded the other way (seen once in
    3,000 boxes, at a side of 257 px): dlib computes the box transform through a pseudo-inverse.
    Order of the points: outer and inner corner of the eye on the right of the image (the subject's left
    eye), outer and inner corner of the eye on the left, base of the nose.
    """

    def __init__(self, arrays: Arrays, predictor_id: str) -> None:
        """`arrays` as `read_shape_predictor` returns them."""
        self.predictor_id = predictor_id
        self._initial: npt.NDArray[np.float32] = arrays["initial_shape"].astype(np.float32)
        levels, trees, splits = arrays["first"].shape
        self._first = _by_node(arrays["first"].astype(np.intp))
        self._second = _by_node(arrays["second"].astype(np.intp))
        # grey differences are integers: d <= t is d <= floor(t)
        threshold = _by_node(np.floor(arrays["threshold"].astype(np.float64)).astype(np.int16))
        self._thresholds = {n: np.repeat(threshold, n, axis=1).reshape(levels, splits, -1) for n in _BLOCK_SIZES}
        self._leaves = arrays["leaves"].astype(np.float32).reshape(levels, trees * (splits + 1), -1)
        self._first_leaf = np.arange(trees)[:, None] * (splits + 1)
        # a product with a row of 0 and 1 selects the anchor, exactly
        self._anchors = np.stack([np.eye(len(self._initial), dtype=np.float32)[:, a] for a in arrays["anchors"]])
        self._deltas = np.ascontiguousarray(arrays["deltas"].astype(np.float32).transpose(0, 2, 1))
        self._to_similarity = _similarity_weights(self._initial)

    @classmethod
    def load(cls) -> FivePointPredictor:
        """The 5-point model of the package face_recognition_models; ConfigError when it is missing."""
        source = package_file(_PACKAGE, _FILE)
        arrays = cached_arrays("dlib-5-points-v1", source, _SHA256, read_shape_predictor)
        return cls(arrays, PREDICTOR_ID)

    def predict(self, image: Image8, box: Box) -> npt.NDArray[np.float64]:
        """Landmarks (5, 2) of one face: `predict_many` of it."""
        points: npt.NDArray[np.float64] = self.predict_many([image], [box])[0]
        return points

    def predict_many(self, images: Sequence[Image8], boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
        """Landmarks (n, 5, 2) as (x, y) in pixels, whole numbers, of the face in each box of its image.

        `images[i]`, which goes with `boxes[i]`, is uint8 (h, w, 3) RGB or (h, w) grey; an image may come
        several times. A box is (left, top, right, bottom), both ends included as in `dlib.rectangle`, and
        may reach over the border (pixels outside count as 0). Grey is (R + G + B) // 3, as dlib takes it
        from RGB pixels. A face's points do not depend on the others; many at once are faster.
        ValueError when the numbers of images and boxes differ.
        """
        if len(images) != len(boxes):
            raise ValueError(f"{len(images)} images but {len(boxes)} boxes: give one image for each box")
        most = _BLOCK_SIZES[-1]
        blocks = [self._predict_block(images[i : i + most], boxes[i : i + most]) for i in range(0, len(boxes), most)]
        return np.concatenate(blocks) if blocks else np.empty((0, *self._initial.shape))

    def _predict_block(self, images: Sequence[Image8], boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
        """`predict_many` of at most as many faces as the largest block holds."""
        count = next(n for n in _BLOCK_SIZES if n >= len(boxes))
        corners = np.array([*boxes, *[boxes[-1]] * (count - len(boxes))], np.float64)
        size = (corners[:, 2:] - corners[:, :2]).T[..., None]
        origin = corners[:, :2].T[..., None] + 0.5
        reader = _PixelReader([*images, *[images[-1]] * (count - len(boxes))])
        shape = np.repeat(self._initial[None], count, axis=0)
        for level in range(len(self._first)):
            positions = self._sampled(level, shape)
            positions *= size
            positions += origin
            values = reader.grey_at(positions)
            steps = self._leaves[level].take(self._reached_leaves(level, values), axis=0)
            steps[0] += shape.reshape(count, -1)
            shape = np.add.reduce(steps, axis=0).reshape(shape.shape)  # one by one in tree order, as dlib adds
        points: npt.NDArray[np.float64] = np.floor(shape.transpose(2, 0, 1).astype(np.float64) * size + origin)
        return points.transpose(1, 2, 0)[: len(boxes)]

    def _sampled(self, level: int, shape: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Positions (2, faces, pixels) to read, in the box's unit square, for shapes (faces, 5, 2).

        Computed in single precision, as dlib does.
        """
        flat = shape.reshape(len(shape), 1, -1).astype(np.float64)
        a, b = np.add.reduce(flat * self._to_similarity, axis=2).astype(np.float32).T[..., None]
        x, y = self._deltas[level]
        sampled = np.ascontiguousarray(shape.transpose(2, 0, 1)) @ self._anchors[level]
        sampled[0] += a * x - b * y
        sampled[1] += b * x + a * y
        positions: npt.NDArray[np.float64] = sampled.astype(np.float64)
        return positions

    def _reached_leaves(self, level: int, values: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
        """Row in the leaf table (trees, faces) that each tree of the level ends in, for grey values (pixels, faces).

        All decisions of a tree are taken at once. The children of node i are 2i + 1 and 2i + 2, so the
        nodes of one depth lie side by side, and each step of the path from the root halves them.
        """
        difference = values.take(self._first[level], axis=0)
        difference -= values.take(self._second[level], axis=0)
        thresholds = self._thresholds[values.shape[1]][level]
        is_second = (difference.reshape(thresholds.shape) <= thresholds).view(np.uint8)
        path = [is_second[0]]
        while 2 ** len(path) <= len(is_second):
            nodes = is_second[2 ** len(path) - 1 : 2 ** (len(path) + 1) - 1]
            for step in path:
                low, high = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
                nodes = low ^ ((low ^ high) & step)
            path.append(nodes[0])
        leaf = path[0]
        for step in path[1:]:
            leaf = leaf << 1 | step
        rows: npt.NDArray[np.intp] = self._first_leaf + leaf.reshape(len(self._first_leaf), -1)
        return rows


class _PixelReader:
    """Reads grey values from several images at once."""

    def __init__(self, images: Sequence[Image8]) -> None:
        coloured = (np.repeat(i[..., None], 3, axis=2) if i.ndim == 2 else np.ascontiguousarray(i) for i in images)
        self._pixels = [i.reshape(-1, 3) for i in coloured]
        height, width = np.array([i.shape[:2] for i in images]).T[..., None]
        self._height, self._width = height.astype(np.uint32), width.astype(np.uint32)

    def grey_at(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
        """Grey values (pixels, images) at positions (2, images, pixels) in px; 0 outside the image."""
        x, y = np.floor(xy).astype(np.int32).view(np.uint32)  # negative wraps to large
        outside = (x >= self._width) | (y >= self._height)
        any_outside = bool(outside.any())
        if any_outside:
            x[outside] = y[outside] = 0
        index = (y * self._width + x).astype(np.intp)
        rgb = np.empty((*index.shape, 3), np.uint8)
        for pixels, where, read in zip(self._pixels, index, rgb, strict=True):
            pixels.take(where, axis=0, out=read, mode="clip")
        grey = rgb[..., 0].astype(np.int16)
        grey += rgb[..., 1]
        grey += rgb[..., 2]
        grey //= np.int16(3)
        if any_outside:
            grey[outside] = 0
        return np.ascontiguousarray(grey.T)


def _by_node(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """(levels, trees, nodes) as (levels, nodes * trees), nodes first."""
    return np.ascontiguousarray(values.transpose(0, 2, 1)).reshape(len(values), -1)


def _similarity_weights(origin: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """W (2, 2n) so that W @ target.ravel() is (a, b) of the best similarity from `origin` to `target`.

    [[a, -b], [b, a]] is its matrix, in the sense of least squares over the n points: the closed form in
    two dimensions of Umeyama 1991, "Least-squares estimation of transformation parameters between two
    point patterns". The target need not be centred, because the centred origin sums to zero.
    """
    source = origin.astype(np.float64) - origin.mean(axis=0, dtype=np.float64)
    turned = np.stack((-source[:, 1], source[:, 0]), axis=1)
    weights: npt.NDArray[np.float64] = np.stack((source.ravel(), turned.ravel())) / (source**2).sum()
    return weights


def box_from_detection(x: float, y: float, width: float, height: float, fit: BoxFit = MTCNN_FIT) -> Box:
    """Square (left, top, right, bottom) that stands for the box dlib's HOG detector would give.

    Takes a detector's box, its top left corner and size in pixels, and the `fit` of that detector. The side
    is `fit.side` times the mean of width and height, the centre lies `fit.shift_down` of the side lower.
    The median horizontal shift (-0.03 for MTCNN) is left out so that a mirrored photograph gives the
    mirrored box. For MTCNN the median distance between the embeddings of both chains is 0.040 (95 %: 0.081)
    on 177 photographs that the fit was not made on, as it is with that shift.
    """
    side = max(2, round(fit.side * (width + height) / 2))
    left = round(x + (width - side) / 2)
    top = round(y + (height - side) / 2 + fit.shift_down * side)
    return left, top, left + side - 1, top + side - 1
