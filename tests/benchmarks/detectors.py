"""Face detectors on the same images, each in a process of its own, on one core."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oracles.box_agreement import ALIKE, agreement

from benchmarks.archives import archive, evenly
from benchmarks.harness import CHECKOUT
from benchmarks.peer_venv import PeerVenv, peer_venv
from benchmarks.results_file import Result
from benchmarks.timing import middle, ratios, spread
from facelib.errors import ConfigError
from facelib.images.decode import decode
from facelib.isolation import ENVIRONMENT

PACKAGES = ("numpy", "torch", "opencv-python-headless", "onnxruntime", "dlib-bin")
REFERENCE = "facelib_mtcnn"
_AT_ONCE = 32


@dataclass(frozen=True)
class Entry:
    """A row of the table: what it is called, and the group of peers.txt that it needs, if any."""

    title: str
    group: str = ""


ENTRIES = {
    "facelib_mtcnn": Entry("facelib mtcnn"),
    "facelib_yunet": Entry("facelib yunet"),
    "plain_port": Entry("MTCNN, oracle of the tests (torch)"),
    "facenet_pytorch": Entry("MTCNN of facenet-pytorch 2.6.0", "facenet-pytorch"),
    "mtcnn": Entry("MTCNN of mtcnn 1.0.0 (TensorFlow)", "mtcnn"),
    "face_recognition": Entry("HOG of face_recognition 1.3.0 (dlib)", "face_recognition"),
    "haar_cascade": Entry("Haar cascade of OpenCV"),
    "opencv_yunet": Entry("YuNet of OpenCV"),
    "opencv_yunet_reduced": Entry("YuNet of OpenCV, image × 0.6"),
}
_NOTES = (
    "CPU time of the detector's process, all threads, allowed one each (`OMP_NUM_THREADS=1` and the libraries' own "
    "switches); images decoded before. Smallest face 40 px where the detector has such a setting. facelib, "
    "facenet-pytorch and mtcnn are given 16 images at once, the others take one.",
    "facenet-pytorch, mtcnn and face_recognition run in an environment with the same torch, NumPy, OpenCV and dlib.",
    "facenet-pytorch: NMS by OpenCV, since the wheels of torchvision are GPU builds. mtcnn: pyramid levels smaller "
    "than its first network left out; as it is, it finds no face at all at a smallest face of 40 px.",
    "face_recognition doubles the image, as it does by default, and so finds faces of 40 px. YuNet has no such "
    "setting: facelib scales the image by 24 / 40, the last row does the same for OpenCV.",
    "The oracle of the tests is written for clarity and converts the whole image anew for each box: it is no "
    "baseline of speed, the packages are.",
    "Not compared: InsightFace and RetinaFace (weights for non-commercial use only), mediapipe (its wheel holds no "
    "model).",
)


@dataclass
class Scores:
    """What a detector did with one set of images: CPU seconds of each repetition, and images with a face."""

    seconds: list[float] = field(default_factory=list)
    found: int = 0


class Peer:
    """A running `detector_peer`; ConfigError when it ends before it answers, or cannot load its detector."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        first = self._answer()
        if "failed" in first:
            raise ConfigError(first["failed"])

    def ask(self, paths: Sequence[Path], side: int) -> dict[str, Any]:
        """Decode CPU seconds, detect CPU seconds, and numbers of faces of the images."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"paths": [str(p) for p in paths], "side": side}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError(f"its process ended with exit code {self._process.wait()}")
        return dict(json.loads(line))


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """CPU milliseconds per image of every detector, and the ratio to facelib's within each repetition."""
    counts, repetitions = ({250: 16, 512: 16}, 1) if quick else ({250: 192, 512: 96}, 5)
    name, images = _images(data)
    sets = {side: evenly(images, n) for side, n in counts.items()}
    venv = peer_venv([e.group for e in ENTRIES.values() if e.group], quick)
    with ExitStack() as stack:
        peers, missing = _start(venv, stack)
        scores = compare(peers, sets, repetitions)
    notes = (
        f"{counts[250]} images of {name}, scaled to 250² and, {counts[512]} of them, to 512² (cubic) where they have "
        f"another size; {repetitions} repetitions, all detectors in turn on {_AT_ONCE} images, the order reversed each "
        "time. CPU ms per image = CPU seconds per 1,000 images. Ratios are within a repetition: median, min–max.",
        *_NOTES,
        *(f"Missing: {ENTRIES[key].title} ({reason})." for key, reason in missing.items()),
    )
    compared = _agreement(name, sets[250] if quick else images)
    return [table(scores, {side: len(paths) for side, paths in sets.items()}, notes), compared]


def _agreement(name: str, paths: Sequence[Path]) -> Result:
    """The default detector against the oracle of the tests."""
    found = agreement(pixels for path in paths if (pixels := decode(path.read_bytes()).pixels) is not None)
    same = found.expected - found.missed
    row = (
        name,
        f"{found.images:,}",
        f"{found.expected:,}",
        f"{same:,} ({same / max(found.expected, 1):.2%})",
        f"{found.invented:,}",
        f"{found.furthest_px:.4f}",
    )
    columns = ("images of", "images", "boxes of the oracle", f"found at IoU ≥ {ALIKE}", "others found", "furthest, px")
    notes = ("Without retries. Furthest: the largest difference of a coordinate between two boxes that are the same.",)
    return Result("Boxes of facelib mtcnn and of the tests' oracle", columns, (row,), notes)


def compare(
    peers: Mapping[str, Any], sets: Mapping[int, Sequence[Path]], repetitions: int
) -> dict[str, dict[int, Scores]]:
    """Have every peer search every set of images (paths, by side in px), after a warm-up."""
    for side, paths in sets.items():
        for peer in peers.values():
            peer.ask(paths[:16], side)
    scores = {key: {side: Scores() for side in sets} for key in peers}
    for repetition in range(repetitions):
        order = list(peers)[:: -1 if repetition % 2 else 1]
        for side, paths in sets.items():
            seconds, found = dict.fromkeys(peers, 0.0), dict.fromkeys(peers, 0)
            for start in range(0, len(paths), _AT_ONCE):
                for key in order:
                    answer = peers[key].ask(paths[start : start + _AT_ONCE], side)
                    seconds[key] += answer["detect"]
                    found[key] += sum(n > 0 for n in answer["faces"])
            for key in peers:
                scores[key][side].seconds.append(seconds[key])
                scores[key][side].found = found[key]
    return scores


def table(scores: Mapping[str, Mapping[int, Scores]], counts: Mapping[int, int], notes: tuple[str, ...]) -> Result:
    """One row per detector, three columns per set of images, and the shares with a face."""
    columns = ["detector"]
    for side in counts:
        columns += [f"ms at {side}²", "× facelib mtcnn", "min–max"]
    columns += [f"with a face, {side}²" for side in counts]
    rows = []
    for key, by_side in scores.items():
        row = [ENTRIES[key].title]
        for side, n in counts.items():
            ratio = ratios(by_side[side].seconds, scores[REFERENCE][side].seconds)
            row += [f"{1000 * statistics.median(by_side[side].seconds) / n:.1f}", middle(ratio), spread(ratio)]
        rows.append((*row, *(f"{by_side[side].found / n:.1%}" for side, n in counts.items())))
    return Result("CPU ms per image of face detectors, one core", tuple(columns), tuple(rows), notes)


def _start(venv: PeerVenv, stack: ExitStack) -> tuple[dict[str, Peer], dict[str, str]]:
    """The detectors that start, and why others do not."""
    peers, missing = {}, {}
    for key, entry in ENTRIES.items():
        if entry.group in venv.missing:
            missing[key] = venv.missing[entry.group]
            continue
        python = str(venv.python) if entry.group else sys.executable
        try:
            peers[key] = Peer(stack.enter_context(_process(python, key)))
        except ConfigError as error:
            missing[key] = str(error)
    return peers, missing


@contextmanager
def _process(python: str, key: str) -> Iterator[subprocess.Popen[str]]:
    paths = os.pathsep.join([str(CHECKOUT / "tests"), str(CHECKOUT)])
    environment = ENVIRONMENT | {"PYTHONPATH": paths, "FACELIB_MODELS": str(_models()), "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        [python, "-m", "benchmarks.detector_peer", key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where libraries report their start
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _models() -> Path:
    """The folder $FACELIB_MODELS, or ../shared/models of the checkout."""
    given = os.environ.get("FACELIB_MODELS")
    return Path(given) if given else CHECKOUT.parent / "shared" / "models"


def _images(data: Path | None) -> tuple[str, list[Path]]:
    """What they are called, and photographs or portraits with one face each, sorted."""
    source = archive(data)
    return source.name, sorted(source.images.rglob("*.jpg" if data else "portrait_*.jpg"))
