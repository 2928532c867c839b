"""Exact and near duplicates among the images of a run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.near_duplicates import near_duplicate_groups
from facelib.ids import digest

CODE = ("phash", "dhash")
MIRROR_CODE = ("phash_mirror", "dhash_mirror")
COLUMNS = ("image_id", "uri", "content_sha256", *CODE, *MIRROR_CODE)

_SCHEMA = pa.schema([("image_id", pa.string()), ("duplicate_of", pa.string()), ("near_duplicate_group", pa.string())])


def duplicate_rows(images: pa.Table, settings: DuplicateSettings) -> pa.Table:
    """(image_id, duplicate_of, near_duplicate_group) of the images that have either.

    `images` has the columns `COLUMNS`; the four hashes are int64, null together. Bytes that were not read, and
    pixels that were not decoded, are never duplicates of each other. The original is the first by uri (then
    image_id), as bytes of UTF-8; a group's name derives from its members.
    """
    images = images.sort_by([("uri", "ascending"), ("image_id", "ascending")])
    ids = images.column("image_id").to_pylist()
    groups = _near_groups(images, settings.max_distance)
    first: dict[str, str] = {}
    rows: list[tuple[str, str | None, str | None]] = []
    for name, content in zip(ids, images.column("content_sha256").to_pylist(), strict=True):
        original = first.setdefault(content, name) if content is not None else name
        duplicate_of = None if original == name else original
        if duplicate_of or name in groups:
            rows.append((name, duplicate_of, groups.get(name)))
    return pa.table([list(c) for c in zip(*rows, strict=True)] or [[], [], []], schema=_SCHEMA)


def group_name(image_ids: Iterable[str]) -> str:
    """Name of a group of near duplicates: digest of its members, whatever their order."""
    return "n" + digest(*sorted(image_ids), length=16)


def _near_groups(images: pa.Table, max_distance: int) -> dict[str, str]:
    hashed = images.filter(pc.is_valid(images.column("phash")))
    labels = near_duplicate_groups(_code(hashed, CODE), _code(hashed, MIRROR_CODE), max_distance)
    members: dict[int, list[str]] = {}
    for image, label in zip(hashed.column("image_id").to_pylist(), labels.tolist(), strict=True):
        if label >= 0:
            members.setdefault(label, []).append(image)
    return {image: name for group in members.values() for name in [group_name(group)] for image in group}


def _code(images: pa.Table, columns: tuple[str, str]) -> npt.NDArray[np.int64]:
    return np.stack([images.column(c).to_numpy().astype(np.int64) for c in columns], axis=1)
