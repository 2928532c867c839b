"""What a face detector takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

MIN_FACE_PX_FLOOR = 12
"""The smallest face a detector can be asked for: the window of the first network of the cascade."""


@dataclass(frozen=True)
class DetectSettings:
    """How faces are searched for.

    `min_face_px`: side of the smallest face searched for, in px of the given image, at least 12. Cost grows
    with its inverse square. `scale_factor`: ratio of neighbouring pyramid levels, in (0, 1).
    `thresholds`: least score, in (0, 1), after each of the three networks. The defaults of both are those
    of the `mtcnn` package.
    `retry`: search an image without a face again, in three steps that stop at the first success (see
    `facelib.faces.mtcnn`). It recovers tight crops, and makes an image that truly has no face cost about
    four times as much. False is the plain cascade.

    Raises ConfigError for a value out of range.
    """

    min_face_px: int = 40
    scale_factor: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)
    retry: bool = True

    def __post_init__(self) -> None:
        if self.min_face_px < MIN_FACE_PX_FLOOR:
            raise ConfigError(f"min_face_px is {self.min_face_px}: give a whole number of at least {MIN_FACE_PX_FLOOR}")
        if not 0 < self.scale_factor < 1:
            raise ConfigError(f"scale_factor is {self.scale_factor}: give a number between 0 and 1")
        if len(self.thresholds) != 3 or not all(0 < t < 1 for t in self.thresholds):
            raise ConfigError(f"thresholds is {self.thresholds}: give three numbers between 0 and 1")


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


class Detector(Protocol):
    """Finds faces."""

    @property
    def detector_id(self) -> str:
        """Name of the method and the digest of its weights; settings are not part of it."""
        ...

    def detect(self, image: npt.NDArray[np.uint8]) -> Detections:
        """Faces of an RGB image (h, w, 3) uint8."""
        ...
