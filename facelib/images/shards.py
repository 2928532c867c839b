"""Packing listed objects into shards: the unit of work, of recovery and of reuse.

A shard's name is a digest of its members and of everything that affects its result, so the same work
always has the same name. Plans remember which members a name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.ids import shard_name

Rows = npt.NDArray[np.integer[Any]]

INCOMPLETE = ".incomplete"
"""Suffix of a shard file that holds a failure worth trying again; it serves one run and covers nothing."""


@dataclass(frozen=True)
class ShardSettings:
    """Upper bounds of one shard, and how many objects a task reads ahead.

    `max_denied_share`: above this share of the objects read, access denied ends the run.
    `listing_resume_s`: a listing that was cut off is continued, not begun again, within so many seconds
    of its beginning; 0 means never.
    """

    shard_images: int = 256
    shard_bytes: int = 256 * 1024 * 1024
    read_threads: int = 8
    max_denied_share: float = 0.1
    listing_resume_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.shard_images < 1 or self.shard_bytes < 1 or self.read_threads < 1:
            raise ValueError("shard_images, shard_bytes and read_threads must be at least 1")
        if not 0.0 <= self.max_denied_share <= 1.0:
            raise ValueError("max_denied_share must be from 0 to 1")
        if self.listing_resume_s < 0:
            raise ValueError("listing_resume_s must be at least 0")


@dataclass(frozen=True)
class ListedImage:
    """A listed object version."""

    image_id: str
    uri: str
    etag: str
    size_bytes: int


LISTED_COLUMNS = ("image_id", "uri", "etag", "size_bytes")
PLANNED = pa.schema([("shard", pa.dictionary(pa.int32(), pa.string())), ("image_id", pa.string())])
"""What plans remember: the images of each shard."""


class Listed:
    """A listing (columns `LISTED_COLUMNS` and any others) whose rows can be taken by their numbers, cheaply."""

    def __init__(self, rows: pa.Table) -> None:
        self._batches = rows.select(LISTED_COLUMNS).to_batches()
        self._starts = np.cumsum([0, *map(len, self._batches)])

    def take(self, column: str, numbers: Rows) -> pa.ChunkedArray:
        """A column's values in the rows of these ascending numbers. Arrow's own `take` copies all chunks each time."""
        bounds = np.searchsorted(numbers, self._starts)
        return pa.chunked_array(
            [
                batch.column(column).take(pa.array(numbers[low:high] - start))
                for batch, start, low, high in zip(self._batches, self._starts, bounds, bounds[1:], strict=False)
                if low < high
            ]
        )


@dataclass(frozen=True, eq=False)
class Shard:
    """A named group of images: ascending row numbers of the listing."""

    name: str
    rows: Rows
    listed: Listed

    def columns(self) -> tuple[list[str], list[str], list[str], list[int]]:
        """image_ids, uris, etags and sizes in bytes of the members."""
        image_ids, uris, etags, sizes = (self.listed.take(name, self.rows).to_pylist() for name in LISTED_COLUMNS)
        return image_ids, uris, etags, sizes

    @property
    def members(self) -> tuple[ListedImage, ...]:
        """The images, sorted by uri."""
        return tuple(ListedImage(*values) for values in zip(*self.columns(), strict=True))


@dataclass(frozen=True, eq=False)
class ShardPlan:
    """`names`: the shards that cover the listing; `shard_of`: the index into `names` of each listed row;
    `todo`: shards without a result; `is_new`: names in `todo` that no earlier plan knows."""

    names: tuple[str, ...]
    shard_of: npt.NDArray[np.int32]
    todo: tuple[Shard, ...]
    is_new: frozenset[str]


def planned_rows(shards: Sequence[Shard]) -> pa.Table:
    """`PLANNED` rows of shards."""
    codes = np.repeat(np.arange(len(shards), dtype=np.int32), [len(shard.rows) for shard in shards])
    names = pa.DictionaryArray.from_arrays(codes, pa.array([shard.name for shard in shards], pa.string()))
    members = pa.concat_arrays([shard.listed.take("image_id", shard.rows).combine_chunks() for shard in shards])
    return pa.table([names, members], schema=PLANNED)


ShardRow = tuple[str, list[str], list[str], list[str], list[int]]
"""A shard's name, and image_ids, uris, etags and sizes in bytes of its members."""


class ShardRows:
    """Rows of shards, made when they are asked for."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[ShardRow]:
        return ((shard.name, *shard.columns()) for shard in self._shards)


def is_in_order(listed: pa.Table) -> bool:
    """Whether the rows are sorted by uri and have each uri once."""
    uris = listed.column("uri")
    return len(uris) < 2 or bool(pc.all(pc.less(uris[:-1], uris[1:])).as_py())


def plan_shards(
    listed: pa.Table, planned: pa.Table, finished: Iterable[str], extract_id: str, settings: ShardSettings
) -> ShardPlan:
    """Cover every listed image by exactly one shard, reusing finished and planned shards.

    `listed` has the columns `LISTED_COLUMNS`, is sorted by uri and has each uri once (else ValueError).
    `planned` (`PLANNED`) are the shards of earlier plans; `finished` are the names whose files exist. A
    finished shard serves every listed image it holds. An unfinished planned shard is kept whole when all
    its images are still wanted, so a restarted run writes the same names. The rest is packed anew.
    """
    if not is_in_order(listed):
        raise ValueError("the listing is not sorted by uri, or has a uri twice")
    images = Listed(listed)
    names, codes = _codes(planned.column("shard"))
    rows = _rows_of(planned.column("image_id"), listed.column("image_id"))
    nobody = len(names)
    owner = np.full(len(listed), nobody, np.int32)
    done = set(finished)
    is_finished = np.array([name in done for name in names], bool)
    serves = is_finished[codes] & (rows >= 0)
    np.minimum.at(owner, rows[serves], codes[serves])
    todo: list[Shard] = []
    for code, members in _grouped(codes, rows, np.flatnonzero(~is_finished)):
        if members[0] >= 0 and (owner[members] == nobody).all():
            owner[members] = code
            todo.append(Shard(names[code], members, images))
    fresh: list[Shard] = []
    for members in _packed(np.flatnonzero(owner == nobody), listed.column("size_bytes").to_numpy(), settings):
        image_ids = images.take("image_id", members).to_pylist()
        owner[members] = nobody + len(fresh)
        fresh.append(Shard(shard_name(image_ids, extract_id), members, images))
    every = [*names, *(shard.name for shard in fresh)]
    used = np.bincount(owner, minlength=len(every)) > 0
    shard_of = (np.cumsum(used, dtype=np.int32) - 1)[owner]
    new = frozenset(shard.name for shard in fresh)
    return ShardPlan(tuple(compress(every, used)), shard_of, (*todo, *fresh), new)


def _codes(shards: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The distinct names, sorted, and the index of each row's name."""
    encoded = shards.unify_dictionaries().combine_chunks()
    names = encoded.dictionary.to_pylist()
    rank = np.empty(len(names), np.int32)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(names))
    return sorted(names), rank[encoded.indices.to_numpy()]


def _rows_of(image_ids: pa.ChunkedArray, listed: pa.ChunkedArray) -> Rows:
    """The listed row of each image_id; -1 for one that is not listed."""
    if not len(image_ids):
        return np.zeros(0, np.int64)
    found: Rows = pc.fill_null(pc.index_in(image_ids, value_set=listed), -1).to_numpy()
    return found


def _grouped(codes: Rows, rows: Rows, wanted: Rows) -> Iterator[tuple[int, Rows]]:
    """Distinct rows, ascending, of each wanted code."""
    order = np.lexsort((rows, codes))
    codes, rows = codes[order], rows[order]
    bounds = zip(np.searchsorted(codes, wanted), np.searchsorted(codes, wanted, "right"), strict=True)
    return ((int(code), np.unique(rows[low:high])) for code, (low, high) in zip(wanted, bounds, strict=True))


def _packed(rows: Rows, sizes: Rows, settings: ShardSettings) -> Iterator[Rows]:
    total = np.concatenate([[0], np.cumsum(sizes[rows])])
    start = 0
    while start < len(rows):
        within = int(np.searchsorted(total, total[start] + settings.shard_bytes, "right")) - 1
        end = max(start + 1, min(within, start + settings.shard_images))
        yield rows[start:end]
        start = end
