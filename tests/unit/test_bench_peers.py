"""The benchmarks against peers: the protocol of their processes, their environment, and the tables."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import detector_peer, detectors, peer_venv, readers
from benchmarks.readers import BINARY_FILE, POOL, TASKS, Cost

from facelib.errors import ConfigError, FacelibError

pytestmark = pytest.mark.unit

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A red picture of 8 × 6 px."""
    cv2.imwrite(str(tmp_path / "red.png"), np.full((6, 8, 3), (0, 0, 255), np.uint8))
    return tmp_path / "red.png"


def spoken(load: Any, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    answers = io.StringIO()
    detector_peer.serve(load, io.StringIO("".join(json.dumps(r) + "\n" for r in requests)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_peer_answers_every_request_in_turn(red: Path) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def find(images: Sequence[Any]) -> list[int]:
        seen.extend(images)
        return [len(images) + i for i in range(len(images))]

    requests = [{"paths": [str(red)] * 2, "side": 10}, {"paths": [str(red)], "side": 6}]
    ready, first, second = spoken(lambda: find, requests)
    assert ready == {"ready": True}
    assert (first["faces"], second["faces"]) == ([2, 3], [1])
    assert min(first["decode"], first["detect"]) >= 0
    assert [image.shape for image in seen] == [(10, 10, 3), (10, 10, 3), (6, 6, 3)]
    assert all((image == (255, 0, 0)).all() for image in seen)


def test_peer_that_cannot_load_says_why_in_one_line(red: Path) -> None:
    def load() -> None:
        raise OSError("no weights\nsecond line")

    assert spoken(load, [{"paths": [str(red)], "side": 6}]) == [{"failed": "OSError: no weights"}]


def test_images_are_given_in_groups_and_counted_in_order() -> None:
    sizes: list[int] = []

    def find(images: Sequence[Any]) -> list[int]:
        sizes.append(len(images))
        return [int(image[0, 0, 0]) for image in images]

    images = [np.full((1, 1, 3), i, np.uint8) for i in range(35)]
    assert detector_peer._in_groups(find)(images) == list(range(35))
    assert sizes == [16, 16, 3]


FAKE = """
import sys
from benchmarks.detector_peer import serve
serve(lambda: lambda images: [1] * len(images), sys.stdin, sys.stdout)
"""


@pytest.fixture
def processes() -> Iterator[Any]:
    started = []

    def start(code: str) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", code], text=True, cwd=TESTS, **pipes))  # type: ignore
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_parent_and_process_understand_each_other(red: Path, processes: Any) -> None:
    peer = detectors.Peer(processes(FAKE))
    assert peer.ask([red, red], 6)["faces"] == [1, 1]
    assert peer.ask([red], 6)["faces"] == [1]


def test_process_that_fails_or_ends_is_told_with_its_reason(processes: Any) -> None:
    with pytest.raises(ConfigError, match="ImportError: no torch"):
        detectors.Peer(processes("""print('{"failed": "ImportError: no torch"}')"""))
    with pytest.raises(ConfigError, match="exit code 3"):
        detectors.Peer(processes("raise SystemExit(3)"))


class Fake:
    """A peer that finds a face in each image whose name is among `found`, at `seconds` for each image."""

    def __init__(self, name: str, seconds: float, found: str, log: list[str]) -> None:
        self.name, self.seconds, self.found, self.log = name, seconds, found, log

    def ask(self, paths: Sequence[Path], side: int) -> dict[str, Any]:
        self.log.append(f"{self.name}{side}")
        faces = [2 * (p.name in self.found) for p in paths]
        return {"decode": 9.0, "detect": self.seconds * len(paths), "faces": faces}


def test_peers_are_compared_in_turn_and_the_order_is_turned() -> None:
    log: list[str] = []
    peers = {"a": Fake("a", 0.5, "xy", log), "b": Fake("b", 1.0, "x", log)}
    scores = detectors.compare(peers, {9: [Path("x"), Path("y"), Path("z")]}, 2)
    assert log == ["a9", "b9", "a9", "b9", "b9", "a9"]
    assert (scores["a"][9].seconds, scores["b"][9].seconds) == ([1.5, 1.5], [3.0, 3.0])
    assert (scores["a"][9].found, scores["b"][9].found) == (2, 1)


def test_table_of_a_case_worked_by_hand() -> None:
    ours = {250: detectors.Scores([0.1, 0.2, 0.4], 10), 512: detectors.Scores([1.0], 5)}
    peers = {250: detectors.Scores([0.3, 0.2, 0.8], 9), 512: detectors.Scores([3.0], 4)}
    found = detectors.table({"facelib_mtcnn": ours, "haar_cascade": peers}, {250: 10, 512: 5}, ("a note",))
    assert found.rows == (
        ("facelib mtcnn", "20.0", "1.00", "1.00–1.00", "200.0", "1.00", "1.00–1.00", "100.0%", "100.0%"),
        ("Haar cascade of OpenCV", "30.0", "2.00", "1.00–3.00", "600.0", "3.00", "3.00–3.00", "90.0%", "80.0%"),
    )
    assert found.notes == ("a note",)
    assert len(found.columns) == 9


def test_every_row_has_a_loader_and_a_known_group() -> None:
    known = peer_venv.groups(peer_venv.REQUIREMENTS.read_text(encoding="utf-8"))
    assert list(detectors.ENTRIES) == list(detector_peer.LOADERS)
    assert {e.group for e in detectors.ENTRIES.values()} - {""} == set(known) - {"img2dataset", "faiss-cpu"}


def test_requirements_are_read_by_group() -> None:
    text = "# A comment.\n\n# [one]\na==1  # MIT\nb==2  # BSD\n\n# [two]\nc==3  # MIT\n"
    assert peer_venv.groups(text) == {"one": ["a==1", "b==2"], "two": ["c==3"]}


def test_every_requirement_is_pinned_and_has_a_licence() -> None:
    lines = peer_venv.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    for line in filter(None, lines):
        requirement, _, licence = line.partition("  # ")
        assert line.startswith("# ") or (requirement.count("==") == 1 and licence), line


def test_quick_run_installs_nothing_and_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    found = peer_venv.peer_venv(["mtcnn", "img2dataset"], quick=True, folder=tmp_path / "venv")
    assert set(found.missing) == {"mtcnn", "img2dataset"}
    assert "not installed" in found.missing["mtcnn"]
    assert not (tmp_path / "venv").exists()


def test_failed_installation_is_told_and_tried_again(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\necho "$@" >> "$0.log"\necho "WARNING: slow" >&2\n'
        'case "$*" in *facenet*) echo "ERROR: No matching distribution" >&2; exit 1;; esac\n'
    )
    python.chmod(0o755)
    for _ in range(2):
        found = peer_venv.peer_venv(["facenet-pytorch", "face_recognition"], quick=False, folder=tmp_path)
        assert found.missing == {"facenet-pytorch": "No matching distribution"}
    calls = (tmp_path / "bin" / "python.log").read_text().splitlines()
    assert ["facenet" in call for call in calls] == [True, False, True]
    assert all("--no-deps" in call for call in calls)
    assert "face_recognition" not in peer_venv.peer_venv(["face_recognition"], True, tmp_path).missing


def test_detectors_of_a_missing_group_and_those_that_fail_are_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dict.fromkeys(["facenet-pytorch", "mtcnn", "face_recognition"], "no network")
    monkeypatch.setattr(detectors, "_process", lambda python, key: memoryview(b""))

    def peer(process: object) -> str:
        if len(started) == 1:
            started.append("failed")
            raise ConfigError("no model")
        started.append("ready")
        return "peer"

    started: list[str] = []
    monkeypatch.setattr(detectors, "Peer", peer)
    with detectors.ExitStack() as stack:
        peers, left_out = detectors._start(peer_venv.PeerVenv(Path("python"), missing), stack)
    assert list(left_out) == ["facelib_yunet", "facenet_pytorch", "mtcnn", "face_recognition"]
    assert left_out["facelib_yunet"] == "no model"
    assert left_out["mtcnn"] == "no network"
    assert set(peers) == set(detectors.ENTRIES) - set(left_out)


def test_batched_nms_is_greedy_suppression_within_groups() -> None:
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 100, (300, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 40, (300, 2))]).astype(np.float32)
    scores = rng.permutation(np.linspace(0.1, 1, 300)).astype(np.float32)
    groups = rng.integers(0, 3, 300)
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(groups[i] != groups[j] or iou(boxes[i], boxes[j]) <= 0.3 for j in kept):
            kept.append(int(i))
    found = detector_peer.batched_nms(torch.tensor(boxes), torch.tensor(scores), torch.tensor(groups), 0.3)
    assert found.tolist() == kept
    assert 30 < len(kept) < 300


def iou(a: Any, b: Any) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = max(width, 0) * max(height, 0)
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))


def test_costs_of_a_case_worked_by_hand() -> None:
    costs = {POOL: [Cost(1, 2), Cost(2, 2)], TASKS: [Cost(2, 3), Cost(2, 2)]}
    assert readers.cost_rows("500 of 4 KB", costs, 500) == [
        ("500 of 4 KB", POOL, "3.00", "1.00 ×", "1.00–1.00", "4.00", "1.00 ×", "1.00–1.00"),
        ("500 of 4 KB", TASKS, "4.00", "1.50 ×", "1.00–2.00", "5.00", "1.25 ×", "1.00–1.50"),
    ]
    assert Cost(5, 7) - Cost(1, 2) == Cost(4, 5)


def test_ways_must_give_the_same_measures_in_any_order() -> None:
    first = pa.table({"phash": [1, 2], "brightness": [0.5, 0.25]})
    readers.same_measures({POOL: first, TASKS: first.take([1, 0])})
    with pytest.raises(FacelibError, match="binaryFile"):
        readers.same_measures({POOL: first, BINARY_FILE: first.slice(1)})


def test_incomplete_reading_is_refused() -> None:
    readers._complete(3, 3)
    with pytest.raises(FacelibError, match="2 of 3"):
        readers._complete(2, 3)
