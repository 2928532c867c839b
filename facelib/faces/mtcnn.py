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

import numpy as np
import numpy.typing as npt

from facelib.faces.detector import MIN_FACE_PX_FLOOR, Detections, DetectSettings
from facelib.faces.landmarks import MTCNN_FIT
from facelib.faces.mtcnn_cascade import Cascade
from facelib.faces.mtcnn_pyramid import MIN_LEVEL_PX
from facelib.faces.mtcnn_retry import equalised, halved, undo_halving
from facelib.faces.mtcnn_weights import weights_digest

Image8 = npt.NDArray[np.uint8]

RETRY_THRESHOLDS = (0.5, 0.6, 0.5)


class Mtcnn:
    """The detector. Holds 2 MB of weights; use one per process. Torch's thread count is the caller's to set.

    Raises ConfigError when the package with the weights is missing or not version 1.0.0.
    """

    box_fit = MTCNN_FIT

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        self._cascade = Cascade()

    @property
    def detector_id(self) -> str:
        """`mtcnn-1.0.0-` and 12 hex digits of the weights; settings are not part of it."""
        return f"mtcnn-1.0.0-{weights_digest()}"

    def detect(self, image: Image8) -> Detections:
        """`detect_many` of one image."""
        return self.detect_many([image])[0]

    def detect_many(self, images: Sequence[Image8], smallest_px: Sequence[float] | None = None) -> list[Detections]:
        """Faces of each RGB image (h, w, 3) uint8, best score first; none where a side is below 21 px or so.

        What is found in an image does not depend on the others. `smallest_px`: as the protocol `Detector` says;
        less than 12 counts as 12. Boxes altogether outside the image are dropped.
        Raises ValueError for any other shape or dtype.
        """
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"image is {image.dtype} {image.shape}: give RGB uint8 (h, w, 3)")
        if smallest_px is None:
            smallest_px = [self.settings.smallest_px(*image.shape[:2]) for image in images]
        sought = [max(px, MIN_FACE_PX_FLOOR) for px in smallest_px]
        found = self._cascade.search(images, sought, self.settings.scale_factor, self.settings.thresholds)
        if self.settings.retry:
            self._search_again(images, sought, found)
        return found

    def _search_again(self, images: Sequence[Image8], smallest_px: Sequence[float], found: list[Detections]) -> None:
        """Put what the retries find into `found`."""
        first, second, third = map(min, self.settings.thresholds, RETRY_THRESHOLDS)
        for alter, undo in ((None, None), (halved, undo_halving), (equalised, None)):
            missing = [
                i for i, image in enumerate(images) if not len(found[i]) and min(image.shape[:2]) >= MIN_LEVEL_PX
            ]
            altered = [images[i] if alter is None else alter(images[i]) for i in missing]
            again = self._cascade.search(
                altered, [smallest_px[i] for i in missing], self.settings.scale_factor, (first, second, third)
            )
            for i, faces in zip(missing, again, strict=True):
                found[i] = faces if undo is None else undo(faces, *images[i].shape[:2])
