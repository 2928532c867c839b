"""YuNet on photographs: faces are found, and the boxes are those of OpenCV's own implementation."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facelib.faces.detector import DetectSettings
from facelib.faces.yunet import YuNet

SHARED = Path(__file__).parents[3] / "shared"
PHOTOGRAPHS = Path(os.environ.get("FACELIB_DATA", SHARED / "data")) / "lfw_dev" / "images"
MODELS = SHARED / "models" / "yunet"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not PHOTOGRAPHS.is_dir(), reason="the photographs ../shared/data/lfw_dev are not on this machine"
    ),
    pytest.mark.skipif(not MODELS.is_dir(), reason="the models ../shared/models/yunet are not on this machine"),
]
pytest.importorskip("onnxruntime", reason="the detector runs on it")

Image8 = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def photographs() -> list[Image8]:
    files = sorted(PHOTOGRAPHS.rglob("*.jpg"))
    chosen = np.random.default_rng(40).permutation(len(files))[:300]
    return [np.asarray(Image.open(files[i]).convert("RGB")) for i in chosen]


def load(name: str, retry: bool = True) -> YuNet:
    return YuNet(DetectSettings(detector="yunet", model_path=str(MODELS / name), retry=retry))


@pytest.mark.parametrize("name", ["yunet_n_dynamic.onnx", "yunet_s_dynamic.onnx", "yunet_n_320_320.onnx"])
def test_face_is_found_in_nearly_every_photograph(name, photographs):
    found = load(name).detect_many(photographs)
    assert np.mean([len(faces) > 0 for faces in found]) >= 0.995
    for faces, image in zip(found, photographs, strict=True):
        height, width = image.shape[:2]
        assert (faces.boxes[:, :2] >= 0).all()
        assert (faces.boxes[:, :2] + faces.boxes[:, 2:] <= (width + 1e-3, height + 1e-3)).all()
        assert (np.diff(faces.scores) <= 0).all()
        if len(faces):
            left_eye, right_eye, nose, left_mouth, right_mouth = faces.points[0]
            assert left_eye[0] < right_eye[0]
            assert left_mouth[0] < right_mouth[0]
            assert max(left_eye[1], right_eye[1]) < nose[1] + 5 < max(left_mouth[1], right_mouth[1]) + 10


def test_boxes_are_those_of_opencv(photographs):
    """Photographs of 250 px fit the input of 320 px unscaled; OpenCV is given the same black border."""
    ours = load("yunet_n_320_320.onnx", retry=False).detect_many(photographs[:100])
    theirs = cv2.FaceDetectorYN.create(str(MODELS / "yunet_n_320_320.onnx"), "", (320, 320), 0.7, 0.45)
    for faces, image in zip(ours, photographs, strict=False):
        padded = np.zeros((320, 320, 3), np.uint8)
        padded[: image.shape[0], : image.shape[1]] = image[..., ::-1]
        expected = theirs.detect(padded)[1]
        assert len(faces) == (0 if expected is None else len(expected))
        if expected is None:
            continue
        boxes = expected[:, :4].copy()
        boxes[:, 2:] += boxes[:, :2]
        boxes = np.clip(boxes, 0, [*image.shape[1::-1]] * 2)
        boxes[:, 2:] -= boxes[:, :2]
        np.testing.assert_allclose(faces.boxes, boxes, atol=1)
        np.testing.assert_allclose(faces.points.reshape(-1, 10), expected[:, 4:14], atol=1)
        np.testing.assert_allclose(faces.scores, expected[:, 14], atol=1e-3)


def test_free_input_sizes_give_the_boxes_of_opencv(photographs):
    """At 3/5 of the size, 150 px, which both fill up to 160 px."""
    ours = load("yunet_n_dynamic.onnx", retry=False).detect_many(photographs[:100])
    theirs = cv2.FaceDetectorYN.create(str(MODELS / "yunet_n_320_320.onnx"), "", (150, 150), 0.7, 0.45)
    for faces, image in zip(ours, photographs, strict=False):
        reduced = cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA)
        expected = theirs.detect(np.ascontiguousarray(reduced[..., ::-1]))[1]
        assert len(faces) == (0 if expected is None else len(expected))
        if expected is not None:
            np.testing.assert_allclose(faces.points.reshape(-1, 10), expected[:, 4:14] / 0.6, atol=1)
