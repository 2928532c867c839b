"""Five landmarks in a face box: dlib's `shape_predictor` with its 5-point model, in NumPy.

Method: Kazemi and Sullivan 2014, "One millisecond face alignment with an ensemble of regression trees".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.assets import Arrays, cached_arrays, package_file
from facelib.faces.dlib_format import read_shape_predictor

Box = tuple[int, int, int, int]

_PACKAGE = "face_recognition_models"
_FILE = "models/shape_predictor_5_face_landmarks.dat"
_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
_NODE_BITS = 16
_BOX_SHIFT_DOWN = 0.06

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
        unused = ((0, 0), (0, 0), (0, _NODE_BITS - splits))
        self._first = np.pad(arrays["first"].astype(np.intp), unused).reshape(levels, -1)
        self._second = np.pad(arrays["second"].astype(np.intp), unused).reshape(levels, -1)
        # grey differences are integers: d <= t is d <= floor(t)
        threshold = np.floor(arrays["threshold"].astype(np.float64)).astype(np.int16)
        self._threshold = np.pad(threshold, unused).reshape(levels, -1)
        self._leaves = arrays["leaves"].astype(np.float32).reshape(levels, trees * (splits + 1), -1)
        self._anchors = arrays["anchors"].astype(np.intp)
        self._deltas = np.ascontiguousarray(arrays["deltas"].astype(np.float32).transpose(0, 2, 1))
        self._leaf_of_decisions = _leaf_of_decisions(splits)
        self._first_leaf = np.arange(trees) * (splits + 1)
        self._to_similarity = _similarity_weights(self._initial)

    @classmethod
    def load(cls) -> FivePointPredictor:
        """The 5-point model of the package face_recognition_models; ConfigError when it is missing."""
        source = package_file(_PACKAGE, _FILE)
        arrays = cached_arrays("dlib-5-points-v1", source, _SHA256, read_shape_predictor)
        return cls(arrays, PREDICTOR_ID)

    def predict(self, image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.float64]:
        """Landmarks (5, 2) as (x, y) in pixels, whole numbers, of the face in `box`.

        `image` is uint8 (h, w, 3) RGB or (h, w) grey; `box` is (left, top, right, bottom), both ends
        included as in `dlib.rectangle`, and may reach over the border (pixels outside count as 0).
        Grey is (R + G + B) // 3, as dlib takes it from RGB pixels.
        """
        left, top, right, bottom = box
        size = np.array([[right - left], [bottom - top]], np.float64)
        origin = np.array([[left], [top]], np.float64)
        pixels = np.ascontiguousarray(image)
        shape = self._initial
        for level in range(len(self._first)):
            a, b = (self._to_similarity @ shape.ravel().astype(np.float64)).astype(np.float32)
            x, y = self._deltas[level]
            sampled = shape.T.take(self._anchors[level], axis=1)
            sampled[0] += a * x - b * y
            sampled[1] += b * x + a * y
            values = _grey_at(pixels, np.floor(sampled * size + (origin + 0.5)).astype(np.intp))
            steps = self._leaves[level].take(self._reached_leaves(level, values), axis=0)
            steps[0] += shape.ravel()
            shape = np.add.reduce(steps, axis=0).reshape(-1, 2)  # one by one in tree order, as dlib adds
        points: npt.NDArray[np.float64] = np.floor(shape.astype(np.float64) * size.T + (origin.T + 0.5))
        return points

    def _reached_leaves(self, level: int, values: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
        """Row in the leaf table that each tree of the level ends in, for sampled grey values.

        All decisions of a tree are taken at once, packed into 16 bits, and looked up.
        """
        difference = values.take(self._first[level]) - values.take(self._second[level])
        is_second = difference <= self._threshold[level]
        decisions = np.packbits(is_second, bitorder="little").view("<u2")
        return self._leaf_of_decisions.take(decisions) + self._first_leaf


def _leaf_of_decisions(splits: int) -> npt.NDArray[np.intp]:
    """Leaf (0 to `splits`) of a full binary tree for every pattern of decisions, (2**16,).

    Bit i tells whether node i takes its second child. The children of node i are 2i + 1 and 2i + 2;
    numbers from `splits` on are leaves.
    """
    patterns = np.arange(2**_NODE_BITS)
    node = np.zeros_like(patterns)
    for _ in range(splits.bit_length()):
        node = 2 * node + 1 + (patterns >> node & 1)
    leaves: npt.NDArray[np.intp] = (node - splits).astype(np.intp)
    return leaves


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


def _grey_at(image: npt.NDArray[np.uint8], xy: npt.NDArray[np.intp]) -> npt.NDArray[np.int16]:
    """Grey values (n,) of a contiguous image at pixels (2, n); 0 outside the image."""
    height, width = image.shape[:2]
    x, y = xy
    outside = (x.view(np.uintp) >= width) | (y.view(np.uintp) >= height)  # negative wraps to large
    index = np.where(outside, 0, y * width + x)
    if image.ndim == 3:
        red, green, blue = image.reshape(-1, 3).take(index, axis=0).T.astype(np.int16)
        values: npt.NDArray[np.int16] = (red + green + blue) // np.int16(3)
    else:
        values = image.reshape(-1).take(index).astype(np.int16)
    values[outside] = 0
    return values


def box_from_detection(x: float, y: float, width: float, height: float) -> Box:
    """Square (left, top, right, bottom) that stands for the box dlib's HOG detector would give.

    Takes an MTCNN box: its top left corner and size in pixels. The side is the mean of width and height,
    the centre lies 0.06 of it lower. Both constants are medians over 300 photographs (LFW, seeded sample)
    of the ratio to `dlib.get_frontal_face_detector`'s boxes (side 1.003, shift 0.061, rounded). The median
    horizontal shift, -0.03, is left out so that a mirrored photograph gives the mirrored box. On 177 other
    photographs the median distance between the embeddings of both chains is 0.040 (95 %: 0.081), as it is
    with that shift.
    """
    side = max(2, round((width + height) / 2))
    left = round(x + (width - side) / 2)
    top = round(y + (height - side) / 2 + _BOX_SHIFT_DOWN * side)
    return left, top, left + side - 1, top + side - 1
