"""What a face detector takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

DETECTORS = ("mtcnn", "yunet")
MIN_FACE_PX_FLOOR = 12
"""The smallest face a detector can be asked for: the window of the first network of the cascade."""


@dataclass(frozen=True)
class DetectSettings:
    """How faces are searched for.

    `detector`: `mtcnn`, or `yunet`, which needs `model_path`: the ONNX file of a YuNet.
    `min_face_px`: side of the smallest face searched for, in px of the full-size image, at least 12. Cost
    grows with its inverse square. `min_face_share`: the same as a share of the image's shorter side, in
    [0, 1); the larger of both counts, so the search of a large photograph costs no more than it must.
    `scale_factor`: ratio of neighbouring pyramid levels, in (0, 1), and `thresholds`: least score, in
    (0, 1), after each of the three networks; both for `mtcnn`, with the defaults of that package.
    `min_score`: least score, in (0, 1), for `yunet`.
    `retry`: search an image without a face again, in three steps that stop at the first success (see
    `facelib.faces.mtcnn`). It recovers tight crops, and makes an image that truly has no face cost about
    four times as much. False is the plain cascade. For `yunet` it lowers the least score to 0.5 where no face
    reaches `min_score`.

    Raises ConfigError for a value out of range.
    """

    detector: str = "mtcnn"
    model_path: str = ""
    min_face_px: int = 40
    min_face_share: float = 0.03
    scale_factor: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)
    min_score: float = 0.7
    retry: bool = True

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ConfigError(f"detector is {self.detector!r}: choose from {', '.join(DETECTORS)}")
        if (self.detector == "yunet") != bool(self.model_path):
            raise ConfigError("model_path goes with detector yunet: give both, or neither")
        if not 0 <= self.min_face_share < 1:
            raise ConfigError(f"min_face_share is {self.min_face_share}: give a number from 0 to below 1")
        if not 0 < self.min_score < 1:
            raise ConfigError(f"min_score is {self.min_score}: give a number between 0 and 1")
        if self.min_face_px < MIN_FACE_PX_FLOOR:
            raise ConfigError(f"min_face_px is {self.min_face_px}: give a whole number of at least {MIN_FACE_PX_FLOOR}")
        if not 0 < self.scale_factor < 1:
            raise ConfigError(f"scale_factor is {self.scale_factor}: give a number between 0 and 1")
        if len(self.thresholds) != 3 or not all(0 < t < 1 for t in self.thresholds):
            raise ConfigError(f"thresholds is {self.thresholds}: give three numbers between 0 and 1")

    def smallest_px(self, height: int, width: int) -> float:
        """Side of the smallest face searched for in an image of that size, in its px."""
        return max(float(self.min_face_px), self.min_face_share * min(height, width))


@dataclass(frozen=True)
class Detections:
    """The faces of one image, best score first. Coordinates are px of that image, origin at its top left."""

    boxes: npt.NDArray[np.float32]
    """(n, 4): x, y, width, height; inside the image."""
    scores: npt.NDArray[np.float32]
    """(n,): the detector's confidence, 0 to 1."""
    points: npt.NDArray[np.float32]
    """(n, 5, 2): x, y of the eye at the image's left, the other eye, the nose tip, the mouth corner at the
    image's left, the other mouth corner. They may lie outside the image."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class BoxFit:
    """How a detector's boxes relate to those of dlib's HOG detector, for which the landmark predictor was made.

    `side`: side of dlib's square over the mean of the box's width and height. `shift_down`: how much lower
    its centre lies, in sides.
    """

    side: float
    shift_down: float


class Detector(Protocol):
    """Finds faces."""

    box_fit: BoxFit

    @property
    def detector_id(self) -> str:
        """Name of the method and the digest of its weights; settings are not part of it."""
        ...

    def detect_many(
        self, images: Sequence[npt.NDArray[np.uint8]], smallest_px: Sequence[float] | None = None
    ) -> list[Detections]:
        """Faces of each RGB image (h, w, 3) uint8; the same whatever other images come with it.

        `smallest_px`: side of the smallest face searched for in each image, in its px; None means
        `DetectSettings.smallest_px` of each. ValueError for any other shape or dtype.
        """
        ...
