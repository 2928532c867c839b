"""Identifiers. All derive from content and lineage, never from order of arrival."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Any


def digest(*parts: str, length: int = 32) -> str:
    """Hex BLAKE2b digest of the parts; parts cannot run into each other (each is length-prefixed).

    `length` is the number of hex digits, even and at most 128.
    """
    h = hashlib.blake2b(digest_size=length // 2)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        h.update(len(raw).to_bytes(8, "little"))
        h.update(raw)
    return h.hexdigest()


def settings_digest(settings: Any, length: int = 16) -> str:
    """Digest of a settings dataclass or JSON-like value, independent of key order."""
    value = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings
    return digest(json.dumps(value, sort_keys=True, default=str), length=length)


def image_id(uri: str, etag: str) -> str:
    """One object version: 32 hex digits of (uri, etag)."""
    return digest("image", uri, etag)


def face_id(image: str, index: int) -> str:
    """The `index`-th detected face (0 = most prominent) of an image."""
    return f"{image}-{index}"


def shard_name(image_ids: Iterable[str], extract_id: str) -> str:
    """Name of a shard: its members and everything that affects its result."""
    return digest("shard", extract_id, *sorted(image_ids))


def cluster_id(face_ids: Iterable[str]) -> str:
    """Name of a cluster: the digest of its members, so independent of order and of run."""
    return "c" + digest("cluster", *sorted(face_ids), length=24)
