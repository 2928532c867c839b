"""YuNet face detector on ONNX Runtime, from an ONNX file that the user names.

The network reads BGR values from 0 to 255 and finds faces in one pass over the whole image, so its cost is
that of the scaled image, whatever it shows. tests/unit/test_yunet.py compares the decoding with values worked
by hand, tests/real/test_yunet_faces.py the boxes with those of OpenCV's `FaceDetectorYN`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError
from facelib.faces.detector import BoxFit, Detections, DetectSettings
from facelib.faces.yunet_boxes import OUTPUTS, STRIDES, Floats, chosen, decode, placed, suppressed

Image8 = npt.NDArray[np.uint8]

RELIABLE_PX = 24
"""Side that the smallest face wanted is scaled to.

Share of 300 LFW photographs, reduced until the face had that side, in which it was found at a score of 0.7,
by the files yunet_n and yunet_s: 28 px 100 %, 100 %; 22 px 99 %, 99 %; 18 px 94 %, 76 %; 13 px 81 %, 4 %.
"""

MAX_ENLARGEMENT = 2.0
"""Of the image: so enlarged, faces of 12 px were found in 99.5 % of 200 such photographs."""

RETRY_SCORE = 0.5
"""Least score where no face of the image reaches `DetectSettings.min_score`."""


class YuNet:
    """The detector. Use one per process; it computes in one thread.

    The image is scaled so that the smallest face wanted has a side of `RELIABLE_PX`, and filled up with
    black at the right and below. A file whose input has a fixed size is given the image reduced to fit: small
    faces of a large image are then lost, so prefer one with free sizes. With `DetectSettings.retry`, an image
    where no face reaches `min_score` gives those of at least `RETRY_SCORE`, at no cost. The runtime keeps
    about 70 bytes for each px of the largest scaled image so far.

    Raises ConfigError when the file is missing or not a YuNet, and when onnxruntime is not installed.
    """

    box_fit = BoxFit(0.96, 0.05)
    """Medians over 300 photographs (LFW) as for `MTCNN_FIT`, rounded: 0.962 and 0.054 with the file yunet_n,
    0.966 and 0.050 with yunet_s."""

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        model = read_model(settings)
        self._digest = sha256_of_model(model)
        self._session = _session(model)
        self._input, self._size = _described(self._session)

    @property
    def detector_id(self) -> str:
        """`yunet-` and 8 hex digits of the file's SHA-256; settings are not part of it."""
        return f"yunet-{self._digest[:8]}"

    def detect_many(self, images: Sequence[Image8], smallest_px: Sequence[float] | None = None) -> list[Detections]:
        """Faces of each RGB image (h, w, 3) uint8, one image after the other: batches are slower on one core.

        `smallest_px`: as the protocol `Detector` says. ValueError for any other shape or dtype.
        """
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
                raise ValueError(f"image is {image.dtype} {image.shape}: give RGB uint8 (h, w, 3)")
        if smallest_px is None:
            smallest_px = [self.settings.smallest_px(*image.shape[:2]) for image in images]
        return [self._detect(image, px) for image, px in zip(images, smallest_px, strict=True)]

    def _detect(self, image: Image8, smallest_px: float) -> Detections:
        height, width = image.shape[:2]
        scaled, padded = self._scaled(image, smallest_px)
        blob = cv2.dnn.blobFromImage(padded, swapRB=True)
        heads: dict[str, Floats] = dict(zip(OUTPUTS, self._session.run(OUTPUTS, {self._input: blob}), strict=True))
        columns = {stride: padded.shape[1] // stride for stride in STRIDES}
        found = self._sure(decode(heads, columns, self._least_score()))
        ratio = np.array([width / scaled[1], height / scaled[0]], np.float32)
        return placed(suppressed(found), ratio, height, width)

    def _scaled(self, image: Image8, smallest_px: float) -> tuple[tuple[int, int], Image8]:
        """Height and width of the scaled image, and the network's input that holds it at its top left."""
        height, width = image.shape[:2]
        scale = min(RELIABLE_PX / smallest_px, MAX_ENLARGEMENT)
        if self._size is not None:
            scale = min(max(scale, 1), self._size[0] / height, self._size[1] / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        if inner != (height, width):
            filtered = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, inner[::-1], interpolation=filtered)
        rows, columns = self._size or (-(-n // STRIDES[-1]) * STRIDES[-1] for n in inner)
        padded: Image8 = cv2.copyMakeBorder(
            image, 0, rows - inner[0], 0, columns - inner[1], cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        return inner, padded

    def _least_score(self) -> float:
        score = self.settings.min_score
        return min(score, RETRY_SCORE) if self.settings.retry else score

    def _sure(self, found: Detections) -> Detections:
        """Those that reach `min_score`; all where none does."""
        sure = np.flatnonzero(found.scores >= self.settings.min_score)
        return chosen(found, sure) if len(sure) else found


def read_model(settings: DetectSettings) -> bytes:
    """Content of the file `model_path`; ConfigError when it cannot be read."""
    try:
        return Path(settings.model_path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"model_path {settings.model_path} cannot be read ({error.strerror}): give the ONNX file of a YuNet"
        ) from error


def sha256_of_model(model: bytes) -> str:
    """Hex SHA-256 of the file's content."""
    return hashlib.sha256(model).hexdigest()


def _session(model: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("detector yunet needs the package onnxruntime: pip install 'facelib[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own classes derive from it
        raise ConfigError("model_path is not a whole ONNX model: give the ONNX file of a YuNet") from error


def _described(session: Any) -> tuple[str, tuple[int, int] | None]:
    """Name of the input, and its height and width, or None when they are free."""
    inputs = session.get_inputs()
    names = {output.name for output in session.get_outputs()}
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] != 3 or not names.issuperset(OUTPUTS):
        raise ConfigError("model_path is an ONNX model, but not a YuNet: it must have the outputs cls_8 to kps_32")
    height, width = inputs[0].shape[2:]
    fixed = isinstance(height, int) and isinstance(width, int)
    return inputs[0].name, (height, width) if fixed else None
