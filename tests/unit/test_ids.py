"""Identifiers: what they depend on, what they do not, and that parts cannot run into each other."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from facelib.ids import cluster_id, digest, face_id, image_id, settings_digest, shard_name

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Inner:
    limit: int = 3


@dataclass(frozen=True)
class Settings:
    name: str = "a"
    share: float = 0.5
    inner: Inner = field(default_factory=Inner)


def test_digest_is_blake2b_of_length_prefixed_parts() -> None:
    raw = b"\x03\0\0\0\0\0\0\0abc" + b"\x02\0\0\0\0\0\0\0" + "é".encode()
    assert digest("abc", "é") == hashlib.blake2b(raw, digest_size=16).hexdigest()


@pytest.mark.parametrize("length", [2, 16, 32, 128])
def test_length_is_in_hex_digits(length: int) -> None:
    found = digest("a", length=length)
    assert len(found) == length
    assert set(found) <= set("0123456789abcdef")


def test_parts_cannot_run_into_each_other() -> None:
    texts = ["", "a", "b", "ab", "ba", "\0", "a\0", "\x01"]
    tuples = [t for n in range(4) for t in itertools.product(texts, repeat=n)]
    assert len({digest(*t) for t in tuples}) == len(tuples)


def test_names_that_are_not_unicode_have_a_digest_of_their_own() -> None:
    assert digest("\udcff") != digest("\udcfe")


def test_settings_digest_ignores_key_order_and_sees_every_value() -> None:
    assert settings_digest({"a": 1, "b": [2, 3]}) == settings_digest({"b": [2, 3], "a": 1})
    assert settings_digest(Settings()) == settings_digest({"name": "a", "inner": {"limit": 3}, "share": 0.5})
    variants = [Settings(), Settings(name="b"), Settings(share=0.25), Settings(inner=Inner(4))]
    assert len({settings_digest(v) for v in variants}) == len(variants)


def test_image_id_changes_with_uri_and_with_version() -> None:
    ids = {image_id(u, e) for u in ("s3://b/a", "s3://b/b") for e in ("1", "2")}
    assert len(ids) == 4
    assert all(len(i) == 32 for i in ids)


def test_face_id_names_image_and_index() -> None:
    assert face_id("abc", 12) == "abc-12"


def test_shard_and_cluster_names_depend_on_members_alone() -> None:
    rng = np.random.default_rng(11)
    members = [f"m{i}" for i in range(20)]
    for _ in range(5):
        shuffled = [members[i] for i in rng.permutation(20)]
        assert shard_name(shuffled, "x") == shard_name(members, "x")
        assert cluster_id(shuffled) == cluster_id(members)
    assert shard_name(members, "y") != shard_name(members, "x")
    assert shard_name(members[1:], "x") != shard_name(members, "x")
    assert cluster_id(members[1:]) != cluster_id(members)
    assert cluster_id(members).startswith("c")
