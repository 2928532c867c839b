"""What a worker process sets up once: one compute thread, and its models."""

from __future__ import annotations

from functools import cache

from facelib.embeddings.model import EmbeddingModel, load_model
from facelib.faces.detector import DetectSettings
from facelib.faces.extract import FaceModels


@cache
def one_thread() -> None:
    """One compute thread per process: Spark runs one task per core, more threads only fight for it."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


@cache
def face_models(settings: DetectSettings) -> FaceModels:
    """Detector and landmark predictor of this process."""
    from facelib.faces.landmarks import FivePointPredictor
    from facelib.faces.mtcnn import Mtcnn

    one_thread()
    return FaceModels(Mtcnn(settings), FivePointPredictor.load())


@cache
def embedding_model(name: str, mirror: bool) -> EmbeddingModel:
    """Embedding model of this process."""
    one_thread()
    return load_model(name, mirror)
