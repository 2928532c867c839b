"""Exact and near duplicates among the images of a run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from facelib.clusters.near_duplicates import near_duplicate_groups
from facelib.ids import digest

_SCHEMA = pa.schema([("image_id", pa.string()), ("duplicate_of", pa.string()), ("near_duplicate_group", pa.string())])


def duplicate_rows(images: pa.Table, max_distance: int) -> pa.Table:
    """(image_id, duplicate_of, near_duplicate_group) of the images that have either.

    `images` has image_id, uri, content_sha256 and phash. Bytes that were not read, and pixels that were
    not decoded, are never duplicates of each other. The original is the first by uri; a group's name
    derives from its members.
    """
    images = images.sort_by([("uri", "ascending"), ("image_id", "ascending")])
    ids = images.column("image_id").to_pylist()
    groups = _near_groups(images, ids, max_distance)
    first: dict[str, str] = {}
    rows: list[tuple[str, str | None, str | None]] = []
    for name, content in zip(ids, images.column("content_sha256").to_pylist(), strict=True):
        original = first.setdefault(content, name) if content is not None else name
        duplicate_of = None if original == name else original
        if duplicate_of or name in groups:
            rows.append((name, duplicate_of, groups.get(name)))
    return pa.table([list(c) for c in zip(*rows, strict=True)] or [[], [], []], schema=_SCHEMA)


def _near_groups(images: pa.Table, ids: list[str], max_distance: int) -> dict[str, str]:
    hashes = images.column("phash")
    known = np.flatnonzero(hashes.is_valid().to_numpy())
    labels = near_duplicate_groups(hashes.drop_null().to_numpy().astype(np.int64), max_distance)
    members: dict[int, list[str]] = {}
    for position, label in zip(known, labels, strict=True):
        if label >= 0:
            members.setdefault(int(label), []).append(ids[position])
    names = {label: "n" + digest(*sorted(m), length=16) for label, m in members.items()}
    return {i: names[label] for label, m in members.items() for i in m}
