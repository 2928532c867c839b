"""The ordinary portraits of a demonstration archive: how many of whom, rendered and encoded."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facelib.demo.archive_plan import STREAMS, ArchivePlan
from facelib.demo.identity import Identity
from facelib.demo.portrait import render_portrait


def pictures_per_identity(plan: ArchivePlan) -> list[int]:
    """Planned pictures of each identity: the quantiles of fewest + (most − fewest)·u^1.5, shuffled."""
    rank = (np.arange(plan.identities) + 0.5) / plan.identities
    counts = np.round(plan.fewest + (plan.most - plan.fewest) * rank**1.5).astype(int)
    rng = np.random.default_rng([plan.seed, STREAMS["people"], 1])
    return [int(c) for c in rng.permutation(counts)]


def render_all(plan: ArchivePlan, people: list[Identity], processes: int) -> list[tuple[int, bytes]]:
    """All portraits as (index of the identity, JPEG bytes); the same for any number of processes."""
    jobs = (range(len(people)), people, pictures_per_identity(plan), repeat(plan))
    if processes <= 1:
        batches: Iterable[list[bytes]] = map(_render_person, *jobs)
        return [(k, data) for k, batch in enumerate(batches) for data in batch]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return [(k, data) for k, batch in enumerate(pool.map(_render_person, *jobs)) for data in batch]


def _render_person(index: int, identity: Identity, pictures: int, plan: ArchivePlan) -> list[bytes]:
    batch = []
    for k in range(pictures):
        rng = np.random.default_rng([plan.seed, STREAMS["pictures"], index, k])
        picture = Image.fromarray(render_portrait(identity, rng, plan.size))
        batch.append(encoded(picture, "JPEG", quality=int(rng.integers(60, 96))))
    return batch


def encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    """The picture as a file of Pillow's `file_format`; `options` go to its encoder."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()
