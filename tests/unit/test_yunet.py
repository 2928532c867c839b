"""YuNet: decoding against hand-worked values; scaling and refusals with a stand-in for the network."""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from facelib.errors import ConfigError
from facelib.faces import yunet
from facelib.faces.detector import Detections, DetectSettings
from facelib.faces.detectors import detector_digest, load_detector
from facelib.faces.yunet import YuNet
from facelib.faces.yunet_boxes import OUTPUTS, STRIDES, decode, placed, suppressed

pytestmark = pytest.mark.unit

Arrays = dict[str, npt.NDArray[np.float32]]
POINTS = np.array([(-0.3, -0.2), (0.3, -0.2), (0.0, 0.1), (-0.2, 0.3), (0.2, 0.3)], np.float32)
"""Of the planted faces: relative to the centre, in sides."""


def empty_heads(height: int, width: int) -> Arrays:
    sizes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{name}_{s}": np.zeros((1, (height // s) * (width // s), n), np.float32)
        for s in STRIDES
        for name, n in sizes.items()
    }


def detections(boxes: list[tuple[float, ...]], scores: list[float]) -> Detections:
    points = np.arange(10 * len(boxes), dtype=np.float32).reshape(-1, 5, 2)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), points)


class RedSquareNetwork:
    """Reports each connected red area of the input, which is BGR, as a face scoring `score`."""

    def __init__(self, score: float = 0.9, size: tuple[int, int] | None = None) -> None:
        self.score = score
        self.size = size or ("height", "width")
        self.seen: list[tuple[int, ...]] = []

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="input", shape=["batch", 3, *self.size])]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in reversed(OUTPUTS)]

    def run(self, names: tuple[str, ...], feeds: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        blob = feeds["input"]
        self.seen.append(blob.shape)
        height, width = blob.shape[2:]
        heads = empty_heads(height, width)
        blue, _, red = blob[0]
        rows, columns = np.nonzero((red > 200) & (blue < 50))
        if len(rows):
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
            row, column = int(y // 8), int(x // 8)
            cell = row * (width // 8) + column
            heads["cls_8"][0, cell] = heads["obj_8"][0, cell] = self.score
            relative = x / 8 - column, y / 8 - row
            heads["bbox_8"][0, cell] = (*relative, math.log(w / 8), math.log(h / 8))
            heads["kps_8"][0, cell] = (np.array(relative) + POINTS * (w / 8, h / 8)).ravel()
        return [heads[name] for name in names]


def picture(height: int, width: int, box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    x, y, w, h = box
    image = np.full((height, width, 3), 128, np.uint8)
    image[y : y + h, x : x + w] = (255, 0, 0)
    return image


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"stands for a model")
    return path


def detector(monkeypatch: pytest.MonkeyPatch, path: Path, network: RedSquareNetwork, **settings: float | bool) -> YuNet:
    monkeypatch.setattr(yunet, "_session", lambda model: network)
    return YuNet(DetectSettings(detector="yunet", model_path=str(path), **settings))


def test_decoding_by_hand():
    """Input of 64 x 32 px: 8 x 4 cells of 8 px, 4 x 2 of 16, 2 x 1 of 32."""
    heads = empty_heads(32, 64)
    cell = 1 * 8 + 5
    heads["cls_8"][0, cell], heads["obj_8"][0, cell] = 0.81, 1.0
    heads["bbox_8"][0, cell] = (0.5, 0.25, math.log(2), math.log(3))
    heads["kps_8"][0, cell] = (0, 0, 1, 0, 0.5, 0.5, 0, 1, -1, -2)
    heads["cls_32"][0, 1], heads["obj_32"][0, 1] = 0.8, 0.8
    heads["bbox_32"][0, 1] = (-0.5, 0.5, 0, 0)
    found = decode(heads, {8: 8, 16: 4, 32: 2}, 0.7)
    np.testing.assert_allclose(found.scores, [0.9, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found.boxes, [(36, -2, 16, 24), (0, 0, 32, 32)], atol=1e-5)
    np.testing.assert_allclose(found.points[0], [(40, 8), (48, 8), (44, 12), (40, 16), (32, -8)], atol=1e-5)
    np.testing.assert_allclose(found.points[1], [(32, 0)] * 5, atol=1e-5)


def test_scores_outside_their_range_are_limited():
    heads = empty_heads(32, 32)
    heads["cls_16"][0, 2], heads["obj_16"][0, 2] = 1.5, 2.0
    heads["cls_16"][0, 3], heads["obj_16"][0, 3] = -0.5, -0.5
    assert decode(heads, {8: 4, 16: 2, 32: 1}, 0.1).scores.tolist() == [1.0]


def test_only_candidates_of_enough_score_are_decoded():
    heads = empty_heads(32, 32)
    heads["cls_8"][0, :3, 0] = heads["obj_8"][0, :3, 0] = (0.25, 0.5, 0.75)
    for least, expected in ((0.2, 3), (0.5, 2), (0.51, 1), (0.8, 0)):
        assert len(decode(heads, {8: 4, 16: 2, 32: 1}, least)) == expected


def test_suppression_is_greedy_and_orders_by_score():
    """The second overlaps the first by 2/3, the third overlaps the second by 2/3 and the first by 3/7."""
    found = detections([(0, 0, 10, 10), (2, 0, 10, 10), (4, 0, 10, 10), (50, 0, 5, 5)], [0.9, 0.8, 0.7, 0.95])
    kept = suppressed(found)
    np.testing.assert_allclose(kept.scores, [0.95, 0.9, 0.7])
    np.testing.assert_array_equal(kept.boxes[:, 0], [50, 0, 4])
    np.testing.assert_array_equal(kept.points, found.points[[3, 0, 2]])


def test_nothing_found_is_kept_empty():
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))
    kept = placed(suppressed(nothing), np.ones(2, np.float32), 10, 10)
    assert (kept.boxes.shape, kept.scores.shape, kept.points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_boxes_are_limited_to_the_image_and_points_are_not():
    found = detections([(-4, 2, 10, 30), (40, 40, 5, 5)], [0.9, 0.8])
    at = placed(found, np.array([2, 3], np.float32), 60, 40)
    np.testing.assert_array_equal(at.boxes, [(0, 6, 12, 54)])
    np.testing.assert_array_equal(at.points, found.points[:1] * (2, 3))


@pytest.mark.parametrize("size", [(250, 250), (97, 401), (600, 801)])
@pytest.mark.parametrize("side", [41, 70])
def test_face_is_found_in_px_of_the_image(monkeypatch, model_file, size, side):
    network = RedSquareNetwork()
    box = (11, 17, side, side + 6)
    found = detector(monkeypatch, model_file, network).detect_many([picture(*size, box)])[0]
    np.testing.assert_allclose(found.boxes, [box], atol=1.7)
    centre = np.array(box[:2]) + np.array(box[2:]) / 2
    np.testing.assert_allclose(found.points[0], centre + POINTS * box[2:], atol=1.7)
    assert found.scores.dtype == found.boxes.dtype == found.points.dtype == np.float32
    assert all(n % 32 == 0 for n in network.seen[0][2:])


@pytest.mark.parametrize(("smallest", "side"), [(40, 150 + 10), (24, 250 + 6), (12, 500 + 12), (4, 500 + 12)])
def test_smallest_face_sets_the_scale(monkeypatch, model_file, smallest, side):
    """A side of 250 px at 24 / smallest, at most doubled, filled up to a multiple of 32."""
    network = RedSquareNetwork()
    image = picture(250, 250, (100, 100, 50, 50))
    detector(monkeypatch, model_file, network).detect_many([image], [smallest])
    assert network.seen == [(1, 3, side, side)]


def test_scale_follows_the_settings(monkeypatch, model_file):
    network = RedSquareNetwork()
    image = picture(500, 1000, (100, 100, 50, 50))
    detector(monkeypatch, model_file, network, min_face_px=48, min_face_share=0.2).detect_many([image, image[:200]])
    assert network.seen == [(1, 3, 128, 256), (1, 3, 128, 512)]


def test_fixed_input_holds_the_whole_image(monkeypatch, model_file):
    for size, box in (((900, 700), (300, 500, 120, 150)), ((100, 120), (30, 20, 50, 60))):
        network = RedSquareNetwork(size=(320, 320))
        found = detector(monkeypatch, model_file, network).detect_many([picture(*size, box)])[0]
        assert network.seen == [(1, 3, 320, 320)]
        np.testing.assert_allclose(found.boxes, [box], atol=3)


def test_images_do_not_influence_each_other(monkeypatch, model_file):
    images = [picture(h, 200, (20, 30, 60, 50)) for h in (100, 250, 250)] + [np.zeros((1, 1, 3), np.uint8)]
    yunet_detector = detector(monkeypatch, model_file, RedSquareNetwork())
    for image, found in zip(images, yunet_detector.detect_many(images), strict=True):
        np.testing.assert_array_equal(found.boxes, yunet_detector.detect_many([image])[0].boxes)
    assert yunet_detector.detect_many([]) == []


@pytest.mark.parametrize(
    ("score", "retry", "faces"), [(0.6, True, 1), (0.6, False, 0), (0.4, True, 0), (0.8, False, 1)]
)
def test_retry_takes_a_lower_score(monkeypatch, model_file, score, retry, faces):
    image = picture(250, 250, (100, 100, 50, 50))
    found = detector(monkeypatch, model_file, RedSquareNetwork(score), retry=retry).detect_many([image])
    assert len(found[0]) == faces


def test_retry_adds_no_face_to_a_sure_one(monkeypatch, model_file):
    class Second(RedSquareNetwork):
        def run(self, names, feeds):
            heads = dict(zip(names, super().run(names, feeds), strict=True))
            heads["cls_32"][0, 0] = heads["obj_32"][0, 0] = 0.6
            return [heads[name] for name in names]

    image = picture(250, 250, (150, 150, 50, 50))
    assert len(detector(monkeypatch, model_file, Second(0.9)).detect_many([image])[0]) == 1
    assert len(detector(monkeypatch, model_file, Second(0.65)).detect_many([image])[0]) == 2


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)])
def test_other_arrays_are_refused(monkeypatch, model_file, image):
    with pytest.raises(ValueError, match="give RGB uint8"):
        detector(monkeypatch, model_file, RedSquareNetwork()).detect_many([image])


def test_id_and_digest_name_the_file(monkeypatch, model_file):
    expected = hashlib.sha256(b"stands for a model").hexdigest()
    found = detector(monkeypatch, model_file, RedSquareNetwork())
    assert found.detector_id == f"yunet-{expected[:8]}"
    assert detector_digest(found.settings) == expected[:12]
    assert isinstance(load_detector(found.settings), YuNet)


def test_missing_file_is_refused(tmp_path):
    settings = DetectSettings(detector="yunet", model_path=str(tmp_path / "none.onnx"))
    for use in (load_detector, detector_digest):
        with pytest.raises(ConfigError, match=r"none\.onnx cannot be read \(No such file"):
            use(settings)


def test_missing_runtime_is_named(monkeypatch, model_file):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"onnxruntime: pip install 'facelib\[onnx\]'"):
        load_detector(DetectSettings(detector="yunet", model_path=str(model_file)))


@pytest.mark.parametrize("content", [b"", b"GIF89a" * 9])
def test_other_files_are_refused(model_file, content):
    pytest.importorskip("onnxruntime", reason="the refusal is the runtime's")
    model_file.write_bytes(content)
    with pytest.raises(ConfigError, match="not a whole ONNX model"):
        load_detector(DetectSettings(detector="yunet", model_path=str(model_file)))


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer, for numbers and lengths below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def identity_model() -> bytes:
    """An ONNX file that returns its float input (1, 3, 8, 8)."""

    def tensor(name: bytes) -> bytes:
        shape = b"".join(field(1, field(1, n)) for n in (1, 3, 8, 8))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"g") + field(11, tensor(b"x")) + field(12, tensor(b"y"))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13))


def test_another_network_is_refused(model_file):
    pytest.importorskip("onnxruntime", reason="it reads the file")
    model_file.write_bytes(identity_model())
    with pytest.raises(ConfigError, match="not a YuNet"):
        load_detector(DetectSettings(detector="yunet", model_path=str(model_file)))
