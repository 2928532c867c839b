"""Packing listed objects into shards: the unit of work, of recovery and of reuse.

A shard's name is a digest of its members and of everything that affects its result, so the same work
always has the same name. Plans remember which members a name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facelib.ids import shard_name

INCOMPLETE = ".incomplete"
"""Suffix of a shard file that holds a failure worth trying again; it serves one run and covers nothing."""


@dataclass(frozen=True)
class ShardSettings:
    """Upper bounds of one shard, and how many objects a task reads ahead.

    `max_denied_share`: above this share of the objects read, access denied ends the run.
    `listing_resume_s`: a listing that was cut off is continued, not begun again, within so many seconds.
    """

    shard_images: int = 256
    shard_bytes: int = 256 * 1024 * 1024
    read_threads: int = 8
    max_denied_share: float = 0.1
    listing_resume_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.shard_images < 1 or self.shard_bytes < 1 or self.read_threads < 1:
            raise ValueError("shard_images, shard_bytes and read_threads must be at least 1")


@dataclass(frozen=True)
class ListedImage:
    """A listed object version."""

    image_id: str
    uri: str
    etag: str
    size_bytes: int


@dataclass(frozen=True)
class Shard:
    """A named group of images."""

    name: str
    members: tuple[ListedImage, ...]


@dataclass(frozen=True)
class ShardPlan:
    """`assigned`: image_id → shard name, for every listed image; `todo`: shards without a result;
    `is_new`: names in `todo` that no earlier plan knows."""

    assigned: dict[str, str]
    todo: tuple[Shard, ...]
    is_new: frozenset[str]


def plan_shards(
    listed: Sequence[ListedImage],
    planned: Mapping[str, frozenset[str]],
    finished: Iterable[str],
    extract_id: str,
    settings: ShardSettings,
) -> ShardPlan:
    """Cover every listed image by exactly one shard, reusing finished and planned shards.

    `planned` maps the shard names of earlier plans to their image_ids; `finished` are the names whose
    files exist. A finished shard serves every listed image it holds. An unfinished planned shard is
    kept whole when all its images are still wanted, so a restarted run writes the same names. The rest
    is packed anew.
    """
    by_id = {image.image_id: image for image in listed}
    assigned: dict[str, str] = {}
    for name in sorted(set(finished) & planned.keys()):
        for member in planned[name]:
            if member in by_id:
                assigned.setdefault(member, name)
    todo: list[Shard] = []
    for name in sorted(planned.keys() - set(finished)):
        members = planned[name]
        if all(m in by_id and m not in assigned for m in members):
            todo.append(Shard(name, tuple(sorted((by_id[m] for m in members), key=lambda i: i.uri))))
            assigned.update(dict.fromkeys(members, name))
    fresh = [
        Shard(shard_name((m.image_id for m in members), extract_id), tuple(members))
        for members in _packed([i for i in by_id.values() if i.image_id not in assigned], settings)
    ]
    for shard in fresh:
        assigned.update(dict.fromkeys((m.image_id for m in shard.members), shard.name))
    return ShardPlan(assigned, (*todo, *fresh), frozenset(s.name for s in fresh))


def _packed(images: list[ListedImage], settings: ShardSettings) -> Iterator[list[ListedImage]]:
    batch: list[ListedImage] = []
    size = 0
    for image in sorted(images, key=lambda i: (i.uri, i.etag)):
        if batch and (len(batch) >= settings.shard_images or size + image.size_bytes > settings.shard_bytes):
            yield batch
            batch, size = [], 0
        batch.append(image)
        size += image.size_bytes
    if batch:
        yield batch
