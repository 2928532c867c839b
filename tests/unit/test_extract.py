"""One shard end to end with a planted detector: every member ends in rows, whatever its bytes are."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from PIL import Image

from facelib.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.faces.chip import decode_chip
from facelib.faces.detector import BoxFit, Detections, DetectSettings
from facelib.faces.extract import ToRows, extract, extract_id, has_retryable_failure
from facelib.faces.image_rows import RowSettings, image_rows
from facelib.faces.landmarks import FivePointPredictor
from facelib.faces.models import FaceModels
from facelib.images.decode import DecodeSettings
from facelib.images.shards import ListedImage
from facelib.isolation import Failure
from facelib.reasons import ImageReason
from facelib.storage import ObjectTooLargeError
from schemas.arrow import arrow_schema, conform
from schemas.tables import EXTRACTED

pytestmark = pytest.mark.unit

Pixels = npt.NDArray[np.uint8]
SETTINGS = RowSettings(DecodeSettings(), DetectSettings())
MAX_BYTES = SETTINGS.decode.max_object_bytes


class PlantedDetector:
    """Finds as many faces as the red value of the first pixel says; face i is 20 + 2 i px wide at x = 10 i."""

    detector_id = "planted"
    box_fit = BoxFit(1.0, 0.06)

    def detect_many(self, images: Sequence[Pixels], smallest_px: Sequence[float] | None = None) -> list[Detections]:
        assert smallest_px == [40.0] * len(images)
        return [self.detect(image) for image in images]

    def detect(self, image: Pixels) -> Detections:
        n = int(image[0, 0, 0])
        boxes = [(10.0 * i, 5.0, 20.0 + 2 * i, 24.0) for i in range(n)]
        return Detections(
            np.array(boxes, np.float32).reshape(n, 4),
            np.linspace(0.99, 0.9, n, dtype=np.float32),
            np.zeros((n, 5, 2), np.float32),
        )


class PlantedPredictor:
    """Points at fixed shares of the box."""

    shares = np.array([(0.8, 0.4), (0.6, 0.4), (0.2, 0.4), (0.4, 0.4), (0.5, 0.7)])

    def predict_many(
        self, images: Sequence[Pixels], boxes: Sequence[tuple[int, int, int, int]]
    ) -> npt.NDArray[np.float64]:
        sides = [(right - left, bottom - top) for left, top, right, bottom in boxes]
        return np.array([self.shares * s + b[:2] for s, b in zip(sides, boxes, strict=True)])


MODELS = FaceModels(PlantedDetector(), cast(FivePointPredictor, PlantedPredictor()))


def picture(faces: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    pixels[0, 0, 0] = faces
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def members(objects: dict[str, Any]) -> list[ListedImage]:
    sizes = {k: len(v) if isinstance(v, bytes) else 100 for k, v in objects.items()}
    return [ListedImage(f"id-{k}", f"mem:///{k}", f"etag-{k}", sizes[k]) for k in objects]


def store_of(objects: dict[str, Any]) -> Callable[[str, str], bytes]:
    def fetch(uri: str, etag: str) -> bytes:
        found = objects[uri.removeprefix("mem:///")]
        assert etag == "etag-" + uri.removeprefix("mem:///")
        if isinstance(found, Exception):
            raise found
        return cast(bytes, found)

    return fetch


def rows_by(models: FaceModels = MODELS, settings: RowSettings = SETTINGS) -> ToRows:
    return lambda items: image_rows(items, models, settings)


def with_detector(detector: PlantedDetector) -> ToRows:
    return rows_by(dataclasses.replace(MODELS, detector=detector))


def run(objects: dict[str, Any], to_rows: ToRows | None = None, threads: int = 3) -> pa.Table:
    return extract(members(objects), store_of(objects), to_rows or rows_by(), MAX_BYTES, threads)


def test_rows_conform_to_the_contract() -> None:
    found = run({"a": picture(2), "b": picture(0), "c": b"text"})
    assert found.schema.equals(arrow_schema(EXTRACTED), check_metadata=True)
    conform(found, EXTRACTED)


def test_one_row_per_face_or_per_image_without_one_in_order() -> None:
    counts = [1, 0, 3, 2, 0, 1]
    found = run({f"m{i}": picture(n, i) for i, n in enumerate(counts)})
    expected = [(f"id-m{i}", k if n else None) for i, n in enumerate(counts) for k in range(max(n, 1))]
    assert list(zip(found["image_id"].to_pylist(), found["face_index"].to_pylist(), strict=True)) == expected
    for row in found.to_pylist():
        n = counts[int(row["image_id"].removeprefix("id-m"))]
        assert row["n_faces"] == n
        assert (row["status"], row["reason"]) == (("ok", None) if n else ("rejected", "no_face"))
        assert (row["width_px"], row["height_px"], row["format"]) == (80, 60, "png")


def test_every_member_ends_in_rows_whatever_happens() -> None:
    failures = {
        "gone": (ObjectNotFoundError("x"), ImageReason.NOT_FOUND),
        "changed": (ObjectChangedError("x"), ImageReason.CHANGED),
        "denied": (AccessDeniedError("x"), ImageReason.ACCESS_DENIED),
        "failed": (ReadFailedError("x"), ImageReason.READ_ERROR),
        "grown": (ObjectTooLargeError("x"), ImageReason.TOO_LARGE),
        "other": (StorageError("x"), ImageReason.READ_ERROR),
        "empty": (b"", ImageReason.EMPTY),
        "text": (b"some text, no picture", ImageReason.NOT_AN_IMAGE),
        "cut": (picture(1)[:-900], ImageReason.TRUNCATED),
        "blank": (picture(0), ImageReason.NO_FACE),
    }
    found = run({k: v for k, (v, _) in failures.items()} | {"good": picture(1)})
    rows = {r["image_id"].removeprefix("id-"): r for r in found.to_pylist()}
    assert list(rows) == [*failures, "good"]
    for name, (content, reason) in failures.items():
        row = rows[name]
        assert (row["status"], row["reason"]) == ("rejected", reason.value)
        assert row["chip"] is None
        assert row["face_index"] is None
        sha = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None
        assert row["content_sha256"] == sha
        assert row["n_faces"] == (0 if reason is ImageReason.NO_FACE else None)
        assert (row["phash"] is None) == (reason is not ImageReason.NO_FACE)
    assert rows["good"]["status"] == "ok"


def test_objects_listed_as_too_large_are_not_fetched() -> None:
    fetched: list[str] = []

    def fetch(uri: str, etag: str) -> bytes:
        fetched.append(uri)
        return picture(1)

    listed = [ListedImage("a", "mem:///a", "e", 1001), ListedImage("b", "mem:///b", "e", 1000)]
    found = extract(listed, fetch, rows_by(), 1000)
    assert found["reason"].to_pylist() == ["too_large", None]
    assert fetched == ["mem:///b"]


def test_limits_of_decoding_are_passed_on() -> None:
    limited = dataclasses.replace(SETTINGS, decode=DecodeSettings(max_pixels=4799))
    found = run({"a": picture(1)}, rows_by(settings=limited))
    assert found["reason"].to_pylist() == ["too_many_pixels"]
    assert found["width_px"].to_pylist() == [80]


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ZeroDivisionError("x")])
def test_a_fault_in_fetching_propagates(error: Exception) -> None:
    with pytest.raises(type(error)):
        run({"a": picture(1), "b": error, "c": picture(1)})


def test_a_fault_in_a_model_propagates() -> None:
    class Broken(PlantedDetector):
        def detect(self, image: Pixels) -> Detections:
            raise RuntimeError("weights")

    with pytest.raises(RuntimeError, match="weights"):
        run({"a": picture(1)}, with_detector(Broken()))


@pytest.mark.parametrize("threads", [1, 3])
def test_read_ahead_is_bounded_and_complete(threads: int) -> None:
    """While one group is computed, no more than two further groups are fetched, by `threads` threads."""
    started: list[str] = []
    done = 0
    ahead: list[int] = []
    running = Counter[str]()
    lock = threading.Lock()

    def fetch(uri: str, etag: str) -> bytes:
        with lock:
            started.append(uri)
            running["now"] += 1
            running["most"] = max(running["most"], running["now"])
        time.sleep(0.001)
        with lock:
            running["now"] -= 1
        return picture(0)

    def to_rows(items: Sequence[bytes]) -> Sequence[list[dict[str, Any]]]:
        nonlocal done
        time.sleep(0.05)
        ahead.append(len(started) - done - len(items))
        done += len(items)
        return [[{"status": "rejected", "reason": "no_face"}] for _ in items]

    listed = [ListedImage(f"i{i}", f"mem:///{i}", "e", 10) for i in range(150)]
    found = extract(listed, fetch, to_rows, MAX_BYTES, threads)
    assert found["image_id"].to_pylist() == [m.image_id for m in listed]
    assert sorted(started) == sorted(m.uri for m in listed)
    assert 0 < max(ahead) <= 32
    assert running["most"] <= threads
    assert done == 150


def test_large_objects_are_held_few_at_a_time() -> None:
    """Objects of 8 MiB, as listed: four are under way at once, and each is a group of its own."""
    size = 8 * 1024 * 1024
    started: list[str] = []
    groups: list[tuple[int, int]] = []

    def fetch(uri: str, etag: str) -> bytes:
        started.append(uri)
        return bytes(size)

    def to_rows(items: Sequence[bytes]) -> Sequence[list[dict[str, Any]]]:
        groups.append((len(items), len(started)))
        return [[{"status": "rejected", "reason": "not_an_image"}] for _ in items]

    extract([ListedImage(f"i{i}", f"mem:///{i}", "e", size) for i in range(12)], fetch, to_rows, 2 * size, 2)
    assert [n for n, _ in groups] == [1] * 12
    assert all(fetched - done <= 5 for done, (_, fetched) in enumerate(groups))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(Failure("timeout", "SIGALRM"), "timeout"), (Failure("crash", "SIGSEGV"), "worker_crash")],
)
def test_an_image_without_a_result_is_a_row(failure: Failure, reason: str) -> None:
    def to_rows(items: Sequence[bytes]) -> Sequence[list[dict[str, Any]] | Failure]:
        return [failure if item == b"poison" else rows_by()([item])[0] for item in items]

    rows = run({"a": picture(1), "b": b"poison", "c": picture(2)}, to_rows).to_pylist()
    assert [r["image_id"] for r in rows] == ["id-a", "id-b", "id-c", "id-c"]
    bad = rows[1]
    assert (bad["status"], bad["reason"], bad["detail"]) == ("rejected", reason, failure.detail)
    assert bad["content_sha256"] == hashlib.sha256(b"poison").hexdigest()
    assert bad["n_faces"] is None


def test_threads_do_not_change_a_value() -> None:
    objects = {f"m{i}": picture(i % 4, i) for i in range(20)}
    assert run(objects, threads=1).equals(run(objects, threads=7))


def test_faces_are_numbered_and_measured() -> None:
    """The planted boxes grow with x, so index 0 is the rightmost."""
    rows = run({"a": picture(3)}).to_pylist()
    assert [r["face_box_x_px"] for r in rows] == [20.0, 10.0, 0.0]
    assert [r["face_box_width_px"] for r in rows] == [24.0, 22.0, 20.0]
    for row in rows:
        points = np.array(row["face_landmarks_px"]).reshape(5, 2)
        centres = points[0:2].mean(axis=0), points[2:4].mean(axis=0)
        assert row["face_eye_distance_px"] == pytest.approx(np.linalg.norm(centres[0] - centres[1]))
        assert row["face_roll_deg"] == pytest.approx(0, abs=1e-6)
        chip = decode_chip(row["chip"])
        assert chip.shape == (150, 150, 3)
        grey = chip @ np.array([0.299, 0.587, 0.114])
        assert row["face_brightness"] == pytest.approx(grey.mean() / 255, abs=0.02)


def numbered(*boxes: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Corners of the given boxes (x, y, width, height) in an 80 × 60 px image, by face index."""

    class Given(PlantedDetector):
        def detect(self, image: Pixels) -> Detections:
            n = len(boxes)
            return Detections(np.array(boxes, np.float32), np.full(n, 0.9, np.float32), np.zeros((n, 5, 2), np.float32))

    rows = run({"a": picture(1)}, with_detector(Given())).to_pylist()
    assert [r["face_index"] for r in rows] == list(range(len(boxes)))
    return [(r["face_box_x_px"], r["face_box_y_px"]) for r in rows]


def test_a_central_face_comes_before_a_larger_one_at_the_edge() -> None:
    """Centre of the image (40, 30). 30² − 2·(25² + 15²) = −800 < 20² − 2·0 = 400 < 26² − 2·10² = 476."""
    assert numbered((0, 0, 30, 30), (30, 20, 20, 20), (37, 17, 26, 26)) == [(37, 17), (30, 20), (0, 0)]


def test_equally_prominent_faces_are_numbered_by_position() -> None:
    assert numbered((45, 18, 20, 24), (15, 18, 20, 24)) == [(15, 18), (45, 18)]


def test_a_score_above_one_is_cut() -> None:
    class Sure(PlantedDetector):
        def detect(self, image: Pixels) -> Detections:
            return dataclasses.replace(super().detect(image), scores=np.array([1.0000002], np.float32))

    found = run({"a": picture(1)}, with_detector(Sure()))
    assert found["face_detection_score"].to_pylist() == [1.0]


def test_no_members_no_rows() -> None:
    assert run({}).num_rows == 0


@pytest.mark.parametrize("error", [ReadFailedError("x"), AccessDeniedError("x")])
def test_failed_and_denied_reads_are_worth_a_retry(error: Exception) -> None:
    assert has_retryable_failure(run({"a": picture(1), "b": error}))


def test_lasting_reasons_are_not_worth_a_retry() -> None:
    final = {"a": picture(1), "b": ObjectNotFoundError("x"), "c": b"text", "d": ObjectChangedError("x")}
    assert not has_retryable_failure(run(final))


def test_extract_id_changes_with_every_setting() -> None:
    def changed(**settings: Any) -> str:
        names = [f.name for f in dataclasses.fields(DecodeSettings)]
        section = "decode" if settings.keys() <= set(names) else "detect"
        part = dataclasses.replace(getattr(SETTINGS, section), **settings)
        return extract_id(dataclasses.replace(SETTINGS, **{section: part}))

    changes = [
        changed(),
        changed(max_pixels=1),
        changed(max_object_bytes=1),
        changed(timeout_s=1.0),
        changed(min_face_px=20),
        changed(min_face_share=0.0),
        changed(scale_factor=0.8),
        changed(thresholds=(0.5, 0.6, 0.7)),
        changed(min_score=0.5),
        changed(retry=False),
    ]
    assert len(set(changes)) == len(changes)
    assert changes[0] == extract_id(RowSettings(DecodeSettings(), DetectSettings()))


def test_a_model_file_counts_by_content_not_by_path(tmp_path: Path) -> None:
    ids = []
    for name, content in (("a.onnx", b"1"), ("b.onnx", b"1"), ("c.onnx", b"2")):
        (tmp_path / name).write_bytes(content)
        detect = DetectSettings(detector="yunet", model_path=str(tmp_path / name))
        ids.append(extract_id(dataclasses.replace(SETTINGS, detect=detect)))
    assert ids[0] == ids[1] != ids[2]
