"""The face detectors known by name; a back end is imported only when it is asked for."""

from __future__ import annotations

from facelib.faces.detector import Detector, DetectSettings


def load_detector(settings: DetectSettings) -> Detector:
    """The detector that `settings` name, ready to use; ConfigError when a package or a model file is missing."""
    if settings.detector == "yunet":
        from facelib.faces.yunet import YuNet

        return YuNet(settings)
    from facelib.faces.mtcnn import Mtcnn

    return Mtcnn(settings)


def detector_digest(settings: DetectSettings) -> str:
    """12 hex digits of the detector's weights, without loading it; ConfigError when a model file is missing."""
    if settings.detector == "yunet":
        from facelib.faces.yunet import read_model, sha256_of_model

        return sha256_of_model(read_model(settings))[:12]
    from facelib.faces.mtcnn_weights import weights_digest

    return weights_digest()
