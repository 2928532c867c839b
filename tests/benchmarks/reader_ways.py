"""The work of the benchmark `readers`, by each way, and the pictures it is done on."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf

from benchmarks.archives import BUILD, archive, evenly
from facelib.images.decode import decode
from facelib.images.measures import measure_image
from facelib.spark.tasks import map_items
from facelib.storage import Fetcher, list_images

SHARD_IMAGES = 256
_MEASURES = "phash long, brightness double"
_LARGE_PX, _LARGE_QUALITY, _NOISE = 640, 85, 10


def large_pictures(n: int) -> Path:
    """A folder of `n` noisy JPEG files of 640 × 640 px, all different; made on first use."""
    target = BUILD / f"large-{n}"
    if not (target / "complete").is_file():
        (target / "images").mkdir(parents=True, exist_ok=True)
        chosen = evenly(sorted((archive(None).images / "00").glob("portrait_*.jpg")), 20)
        for number in range(n):
            picture = Image.open(chosen[number % len(chosen)]).convert("RGB").resize((_LARGE_PX, _LARGE_PX))
            noise = np.random.default_rng([19, number]).normal(0, _NOISE, (_LARGE_PX, _LARGE_PX, 3))
            noisy = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(target / "images" / f"{number:05d}.jpg", "JPEG", quality=_LARGE_QUALITY)
        (target / "complete").touch()
    return target / "images"


def measured(data: bytes) -> tuple[int, float]:
    """Perceptual hash and brightness of an image."""
    pixels = decode(data).pixels
    assert pixels is not None
    found = measure_image(pixels)
    return found.phash, found.brightness


def read_objects(objects: Sequence[tuple[str, str]]) -> pa.RecordBatch:
    """Measures of (uri, etag), one after the other."""
    found = [measured(_fetcher().fetch(uri, etag)) for uri, etag in objects]
    return pa.RecordBatch.from_pydict({"phash": [f[0] for f in found], "brightness": [f[1] for f in found]})


@cache
def _fetcher() -> Fetcher:
    cv2.setNumThreads(1)
    return Fetcher()


def by_tasks(spark: SparkSession, folder: Path) -> pa.Table:
    """A task per shard, which reads its objects itself."""
    return map_items(spark, _shards(folder), lambda shard: iter([read_objects(shard)]), _MEASURES).toArrow()


def by_pool(pool: ProcessPoolExecutor, folder: Path) -> pa.Table:
    """The same function on the same shards."""
    return pa.Table.from_batches(pool.map(read_objects, _shards(folder)))


def by_binary_file(spark: SparkSession, folder: Path) -> pa.Table:
    """Spark's own reader; the content of every file goes through the JVM to a pandas UDF."""

    @pandas_udf(_MEASURES)
    def measures(contents: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        cv2.setNumThreads(1)
        for series in contents:
            yield pd.DataFrame([measured(content) for content in series], columns=["phash", "brightness"])

    files = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(folder.as_uri())
    return files.select(measures("content").alias("found")).select("found.*").toArrow()


def _shards(folder: Path) -> list[list[tuple[str, str]]]:
    objects = [(o.uri, o.etag) for o in list_images(str(folder))[1]]
    return [objects[i : i + SHARD_IMAGES] for i in range(0, len(objects), SHARD_IMAGES)]


def decoded_urls(urls: Sequence[str]) -> int:
    """Number of the URLs that hold an image, read one after the other."""
    found = 0
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            found += decode(answer.read()).pixels is not None
    return found
