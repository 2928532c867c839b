"""The altered copies of an image in which MTCNN searches again when it found no face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facelib.faces.detector import Detections
from facelib.faces.mtcnn_boxes import clip_boxes

_GREY = (127, 127, 127)
"""What the networks see outside an image."""


def halved(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The image (h, w, 3), of 2 px a side or more, at half size in the middle of a grey one of its size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    left, top = _margin(height, width)
    right, bottom = width - width // 2 - left, height - height // 2 - top
    framed = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_GREY)
    return np.asarray(framed, np.uint8)


def undo_halving(found: Detections, height: int, width: int) -> Detections:
    """What was found in `halved`, in px of the image; faces in the grey margin are dropped."""
    factor = np.array([width / (width // 2), height / (height // 2)])
    margin = np.array(_margin(height, width))
    first = (found.boxes[:, :2] - margin) * factor
    corners = np.concatenate((first, first + found.boxes[:, 2:] * factor), axis=1)
    boxes = clip_boxes(corners, height, width)
    boxes[:, 2:] -= boxes[:, :2]
    seen = (boxes[:, 2:] > 0).all(axis=1)
    points = (found.points[seen] - margin) * factor
    return Detections(boxes[seen].astype(np.float32), found.scores[seen], points.astype(np.float32))


def equalised(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The RGB image with the histogram of its luma equalised."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    luma[..., 0] = cv2.equalizeHist(luma[..., 0])
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB), np.uint8)


def _margin(height: int, width: int) -> tuple[int, int]:
    """Px of grey left of and above the small image."""
    return (width - width // 2) // 2, (height - height // 2) // 2
