"""CPU seconds by stage of the default chain, in a plain loop, against `extract` and `embed` as a whole."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import plain_pool
from benchmarks.archives import archive, evenly
from benchmarks.plain_pool import SETTINGS
from benchmarks.results_file import Result
from benchmarks.timing import Stopwatch, middle, ratios, spread
from facelib.embeddings.embed import CHIP_COLUMNS, embed
from facelib.embeddings.model import EmbeddingModel
from facelib.faces.chip import cut_chip, decode_chip, encode_chip
from facelib.faces.detector import Detections
from facelib.faces.landmarks import box_from_detection
from facelib.faces.measures import measure_chip, measure_geometry
from facelib.faces.models import FaceModels
from facelib.images.decode import decode
from facelib.images.measures import measure_image
from facelib.images.shards import ListedImage
from facelib.spark.pipeline_config import EmbedSettings
from facelib.spark.worker import embedding_model
from facelib.storage import Fetcher

PACKAGES = ("numpy", "torch", "opencv-python-headless", "Pillow", "pyarrow")
EXTRACT, EMBED = "`extract` as a whole", "`embed` as a whole"
_EXTRACT_STAGES = (
    "fetch from local disk",
    "decode",
    "image measures",
    "detect",
    "landmarks",
    "cut chip",
    "face measures",
    "encode chip",
)
_EMBED_STAGES = ("decode chip", "embedding network")
_CHIPS_AT_ONCE = 256
_GROUP = 16


@dataclass(frozen=True)
class _Chain:
    models: FaceModels
    embedder: EmbeddingModel
    fetcher: Fetcher

    def fetch(self, uri: str, etag: str) -> bytes:
        return self.fetcher.fetch(uri, etag, SETTINGS.decode.max_object_bytes)

    def by_stage(self, members: Sequence[ListedImage], watch: Stopwatch) -> None:
        """What `extract` and `embed` compute, stage by stage."""
        chips: list[bytes] = []
        for i in range(0, len(members), _GROUP):
            group = [watch.time("fetch from local disk", self.fetch, m.uri, m.etag) for m in members[i : i + _GROUP]]
            decoded = [watch.time("decode", decode, data).pixels for data in group]
            images = [pixels for pixels in decoded if pixels is not None]
            for pixels in images:
                watch.time("image measures", measure_image, pixels)
            found = watch.time("detect", self.models.detector.detect_many, images)
            for pixels, faces in zip(images, found, strict=True):
                if len(faces):
                    chips += self._chips(pixels, faces, watch)
        for i in range(0, len(chips), _CHIPS_AT_ONCE):
            some = [watch.time("decode chip", decode_chip, c) for c in chips[i : i + _CHIPS_AT_ONCE]]
            watch.time("embedding network", self.embedder.embed, np.stack(some))

    def _chips(self, pixels: npt.NDArray[np.uint8], found: Detections, watch: Stopwatch) -> list[bytes]:
        boxes = [box_from_detection(*box, self.models.detector.box_fit) for box in found.boxes.tolist()]
        every = watch.time("landmarks", self.models.predictor.predict_many, [pixels] * len(boxes), boxes)
        chips = []
        for points in every:
            chip = watch.time("cut chip", cut_chip, pixels, points)
            watch.time("face measures", lambda p=points, c=chip: (measure_geometry(p), measure_chip(c)))
            chips.append(watch.time("encode chip", encode_chip, chip))
        return chips

    def whole(self, members: Sequence[ListedImage], watch: Stopwatch) -> int:
        """The two functions of the pipeline; returns the number of faces."""
        rows = watch.time(EXTRACT, plain_pool.extract_members, members)
        return len(watch.time(EMBED, embed, rows.select(CHIP_COLUMNS), self.embedder))


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """CPU seconds per 1,000 images by stage, medians over the repetitions."""
    source = archive(data)
    members = evenly(source.members(), 24 if quick else 400)
    embedder = embedding_model(EmbedSettings().model, EmbedSettings().mirror)
    chain = _Chain(plain_pool.models(), embedder, Fetcher())
    _round(chain, members[:8], 0)
    rounds = [_round(chain, members, i) for i in range(1 if quick else 5)]
    n, faces = len(members), rounds[0].calls["decode chip"]
    rows = [_row(name, rounds, n) for name in (*_EXTRACT_STAGES, *_EMBED_STAGES)]
    for whole, parts in ((EXTRACT, _EXTRACT_STAGES), (EMBED, _EMBED_STAGES)):
        rows.append(_sum_row(f"sum of the {len(parts)} stages inside `{whole.split('`')[1]}`", parts, rounds, n))
        rows.append(_row(whole, rounds, n))
    notes = (
        f"{n} images of {source.name}, {faces} faces; {len(rounds)} repetitions; one thread; models loaded before.",
        f"A whole costs {_overhead(rounds, EXTRACT, _EXTRACT_STAGES)} (`extract`, which also reads ahead, hashes and "
        f"builds rows) and {_overhead(rounds, EMBED, _EMBED_STAGES)} (`embed`) times the sum of its stages.",
    )
    title = "CPU seconds per 1,000 images, by stage"
    return [Result(title, ("stage", "calls per image", "median", "min–max", "share of all"), tuple(rows), notes)]


def _round(chain: _Chain, members: Sequence[ListedImage], number: int) -> Stopwatch:
    """One repetition of both ways, in an order that alternates."""
    watch = Stopwatch()
    ways = [chain.by_stage, chain.whole]
    for way in ways[:: -1 if number % 2 else 1]:
        way(members, watch)
    return watch


def _row(name: str, rounds: list[Stopwatch], n: int) -> tuple[str, ...]:
    return _cells(name, f"{rounds[0].calls[name] / n:.2f}", [r.seconds[name] for r in rounds], rounds, n)


def _sum_row(name: str, parts: Sequence[str], rounds: list[Stopwatch], n: int) -> tuple[str, ...]:
    return _cells(name, "", _sums(rounds, parts), rounds, n)


def _cells(name: str, calls: str, seconds: list[float], rounds: list[Stopwatch], n: int) -> tuple[str, ...]:
    per_1000 = [1000 * s / n for s in seconds]
    share = statistics.median(ratios(seconds, _sums(rounds, (*_EXTRACT_STAGES, *_EMBED_STAGES))))
    return name, calls, middle(per_1000), spread(per_1000), f"{share:.1%}"


def _sums(rounds: list[Stopwatch], parts: Sequence[str]) -> list[float]:
    return [sum(r.seconds[p] for p in parts) for r in rounds]


def _overhead(rounds: list[Stopwatch], whole: str, parts: Sequence[str]) -> str:
    return middle(ratios([r.seconds[whole] for r in rounds], _sums(rounds, parts)))
