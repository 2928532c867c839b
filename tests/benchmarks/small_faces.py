"""Folders of many small pictures with a face, all different: rendered portraits, framed and compressed anew."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.archives import BUILD, archive, evenly

SIDE_PX = 112
_PORTRAITS, _LARGER_PX = 60, 124
_FOLDER_IMAGES = 1000


def small_faces(n: int, processes: int = 2) -> Path:
    """A folder of `n` JPEG files of 112 × 112 px, 1,000 to a folder below it; made on first use, the first of any
    number being the same."""
    target = BUILD / f"small-{n}"
    if not (target / "complete").is_file():
        (target / "images").mkdir(parents=True, exist_ok=True)
        chosen = evenly(sorted((archive(None).images / "00").glob("portrait_*.jpg")), _PORTRAITS)
        portraits = [np.asarray(Image.open(path).convert("RGB").resize((_LARGER_PX,) * 2)) for path in chosen]
        starts = range(0, n, _FOLDER_IMAGES)
        counts = [min(_FOLDER_IMAGES, n - start) for start in starts]
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(_write, repeat(portraits), starts, counts, repeat(target / "images")))
        (target / "complete").touch()
    return target / "images"


def _write(portraits: Sequence[npt.NDArray[np.uint8]], start: int, count: int, target: Path) -> None:
    folder = target / f"{start // _FOLDER_IMAGES:04d}"
    folder.mkdir(exist_ok=True)
    for number in range(start, start + count):
        rng = np.random.default_rng([17, number])
        left, top = rng.integers(0, _LARGER_PX - SIDE_PX + 1, 2)
        picture = portraits[number % len(portraits)][top : top + SIDE_PX, left : left + SIDE_PX]
        noisy = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=int(rng.integers(70, 96)))
        (folder / f"{number:07d}.jpg").write_bytes(buffer.getvalue())
