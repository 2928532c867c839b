"""Reading a retraining set into torch with petastorm.

Plain Parquet is read with `make_batch_reader`; petastorm's own metadata (a pickle) is neither written nor
read. On the pyarrow it needs, petastorm reads local folders only: copy an exported set to disk first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facelib.errors import ConfigError
from facelib.faces.chip import decode_chip


@dataclass(frozen=True)
class Batch:
    """One batch: `chips` uint8 (n, 3, 150, 150) RGB, `identities` int64 (n,), `weights` float32 (n,), `labels`
    by attribute, `face_ids`."""

    chips: torch.Tensor
    identities: torch.Tensor
    weights: torch.Tensor
    labels: dict[str, list[str]]
    face_ids: list[str]


def read_batches(folder: Path, batch_size: int = 64, seed: int | None = None) -> Iterator[Batch]:
    """All faces of one split, once, in batches of at most `batch_size` from one row group.

    With a `seed`, row groups come in random order. ConfigError when petastorm is missing or the folder
    holds no Parquet file.
    """
    if not list(folder.glob("*.parquet")):
        raise ConfigError(f"{folder} holds no Parquet file: give the folder of one split, such as train")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\b")
    try:
        from petastorm import make_batch_reader
    except ImportError:
        raise ConfigError('petastorm is missing: pip install "facelib[train]"') from None
    with make_batch_reader(
        f"file://{folder.resolve()}",  # petastorm does not decode %20
        num_epochs=1,
        reader_pool_type="thread",
        workers_count=1,
        shuffle_row_groups=seed is not None,
        seed=seed,
    ) as reader:
        for group in reader:
            yield from _batches(group._asdict(), batch_size)


def _batches(group: dict[str, Any], size: int) -> Iterator[Batch]:
    for i in range(0, len(group["face_id"]), size):
        part = {name: values[i : i + size] for name, values in group.items()}
        chips = np.stack([decode_chip(c) for c in part["chip"]])
        yield Batch(
            torch.from_numpy(chips).permute(0, 3, 1, 2),
            torch.from_numpy(np.array(part["identity_index"], dtype=np.int64)),
            torch.from_numpy(np.array(part["weight"], dtype=np.float32)),
            {n.removeprefix("label_"): list(v) for n, v in part.items() if n.startswith("label_")},
            list(part["face_id"]),
        )
