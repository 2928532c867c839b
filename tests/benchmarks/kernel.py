"""Network, landmarks and chip against dlib's own, on one core: speed and agreement."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import plain_pool
from benchmarks.archives import archive
from benchmarks.results_file import Result
from benchmarks.timing import interleaved, middle, ratios, spread
from facelib.assets import package_file
from facelib.embeddings.model import EmbeddingModel
from facelib.errors import ConfigError
from facelib.faces.chip import CHIP_PX, PADDING, cut_chip
from facelib.faces.landmarks import Box, box_from_detection
from facelib.faces.models import FaceModels
from facelib.images.decode import decode
from facelib.images.shards import ListedImage
from facelib.spark.pipeline_config import EmbedSettings
from facelib.spark.worker import embedding_model
from facelib.storage import Fetcher

PACKAGES = ("numpy", "torch", "Pillow", "dlib-bin")
_BATCH = 32
_MODELS = "face_recognition_models"
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Face:
    image: Pixels
    box: Box
    points: npt.NDArray[np.float64]
    chip: Pixels


@dataclass(frozen=True)
class _Kernel:
    """Two ways to compute the same of all faces; `loops` makes a repetition long enough to time."""

    name: str
    ours: Callable[[], npt.NDArray[Any]]
    dlibs: Callable[[], npt.NDArray[Any]]
    loops: int


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Faces per second of both, the ratio within each repetition, and the largest difference of the results."""
    source = archive(data)
    models, embedder = plain_pool.models(), embedding_model(EmbedSettings().model, mirror=False)
    faces = _faces(source.members(), models, 4 if quick else _BATCH)
    rows = [_row(k, len(faces), 1 if quick else 7) for k in _kernels(faces, models, embedder)]
    notes = (
        f"the {len(faces)} faces first found in {source.name}; one batch of them in each call of a network; one "
        f"thread; CPU time; {1 if quick else 7} interleaved repetitions after a warm-up.",
        "dlib is the wheel `dlib-bin`, which is built with AVX and without BLAS (`dlib.DLIB_USE_BLAS` is false).",
    )
    columns = ("kernel", "facelib per s", "dlib per s", "facelib / dlib", "min–max", "largest difference")
    return [Result("Faces per second on one core, and agreement with dlib", columns, tuple(rows), notes)]


def _faces(members: Sequence[ListedImage], models: FaceModels, n: int) -> list[_Face]:
    faces: list[_Face] = []
    fetcher = Fetcher()
    for member in members:
        image = decode(fetcher.fetch(member.uri, member.etag)).pixels
        found = [] if image is None else models.detector.detect_many([image])[0].boxes.tolist()
        if image is None or not found:
            continue
        box = box_from_detection(*found[0])
        points = models.predictor.predict_many([image], [box])[0]
        faces.append(_Face(image, box, points, cut_chip(image, points)))
        if len(faces) == n:
            break
    return faces


def _kernels(faces: list[_Face], models: FaceModels, embedder: EmbeddingModel) -> list[_Kernel]:
    dlib = _dlib()
    network = dlib.face_recognition_model_v1(str(package_file(_MODELS, f"models/{_NETWORK}")))
    predictor = dlib.shape_predictor(str(package_file(_MODELS, f"models/{_PREDICTOR}")))
    chips = [f.chip for f in faces]
    batch = np.stack(chips)
    boxes = [dlib.rectangle(*f.box) for f in faces]
    shapes = [predictor(f.image, b) for f, b in zip(faces, boxes, strict=True)]

    def dlib_landmarks() -> npt.NDArray[np.float64]:
        found = [predictor(f.image, b) for f, b in zip(faces, boxes, strict=True)]
        return np.array([[(p.x, p.y) for p in shape.parts()] for shape in found], np.float64)

    def dlib_chips() -> Pixels:
        pairs = zip(faces, shapes, strict=True)
        return np.stack([dlib.get_face_chip(f.image, s, size=CHIP_PX, padding=PADDING) for f, s in pairs])

    return [
        _Kernel(
            f"embedding network, batch of {len(faces)}",
            lambda: embedder.embed(batch),
            lambda: np.array(network.compute_face_descriptor(chips)),
            1,
        ),
        _Kernel(
            "five landmarks",
            lambda: models.predictor.predict_many([f.image for f in faces], [f.box for f in faces]),
            dlib_landmarks,
            10,
        ),
        _Kernel("chip from landmarks", lambda: np.stack([cut_chip(f.image, f.points) for f in faces]), dlib_chips, 20),
    ]


_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
_PREDICTOR = "shape_predictor_5_face_landmarks.dat"


def _dlib() -> Any:
    try:
        import dlib
    except ImportError:
        raise ConfigError("this benchmark compares with dlib, which is missing: pip install dlib-bin") from None
    return dlib


def _row(kernel: _Kernel, faces: int, repetitions: int) -> tuple[str, ...]:
    difference = np.abs(kernel.ours().astype(np.float64) - kernel.dlibs().astype(np.float64)).max()
    seconds = interleaved(
        {"ours": lambda: _repeat(kernel.ours, kernel.loops), "dlibs": lambda: _repeat(kernel.dlibs, kernel.loops)},
        repetitions,
    )
    gain = ratios(seconds["dlibs"], seconds["ours"])
    ours, dlibs = (kernel.loops * faces / statistics.median(seconds[k]) for k in ("ours", "dlibs"))
    return kernel.name, f"{ours:,.0f}", f"{dlibs:,.0f}", f"{middle(gain)} ×", spread(gain), f"{difference:.1g}"


def _repeat(function: Callable[[], object], loops: int) -> None:
    for _ in range(loops):
        function()
