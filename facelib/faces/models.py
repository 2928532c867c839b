"""The models that extraction needs, and their loading."""

from __future__ import annotations

from dataclasses import dataclass

from facelib.faces.detector import Detector, DetectSettings
from facelib.faces.detectors import load_detector
from facelib.faces.landmarks import FivePointPredictor


@dataclass(frozen=True)
class FaceModels:
    """The models one process holds."""

    detector: Detector
    predictor: FivePointPredictor


def load_models(settings: DetectSettings) -> FaceModels:
    """Detector and landmark predictor. ConfigError when a package or a model file is missing."""
    return FaceModels(load_detector(settings), FivePointPredictor.load())


def one_thread() -> None:
    """One compute thread for this process: Spark runs one task per core, more threads only fight for it."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
