"""Rows of the `labels` table: matching, missing values, and names that never get through."""

from __future__ import annotations

import hashlib
import hmac
import re

import pyarrow as pa
import pytest

from facelib.errors import ConfigError
from facelib.reports.label_file import LabelColumns
from facelib.reports.labels import image_of_key, label_rows, pseudonym
from schemas.arrow import conform
from schemas.tables import LABELS

pytestmark = pytest.mark.unit

SECRET = b"0123456789abcdef"
KEYS = ["a.jpg", "b/c.jpg", "d.jpg"]
URIS = [f"s3://x/{key}" for key in KEYS]
IMAGES = image_of_key(["i1", "i2", "i3"], KEYS, URIS)
NAMES = ["Ada Lovelace", "Ada Lovelace", "Grace Hopper", None, "Alan Turing"]


def labels() -> pa.Table:
    return pa.table(
        {
            "key": ["a.jpg", "s3://x/b/c.jpg", "d.jpg", "e.jpg", "x/d.jpg"],
            "subject": pa.array(NAMES, pa.string()),
            "gender": pa.array(["F", "F", None, "M", "M"], pa.string()),
            "age": pa.array(["30", None, "50", "20", "40"], pa.string()),
        }
    )


def rows(subject: str | None = "person", secret: bytes = SECRET) -> tuple[pa.Table, int]:
    return label_rows(labels(), LabelColumns("file", subject, ("gender", "age")), IMAGES, secret, "labels.csv")


def test_keys_below_the_root_and_full_uris_match() -> None:
    assert IMAGES.keys() == {*KEYS, *URIS}
    assert [IMAGES[key] for key in KEYS] == [IMAGES[uri] for uri in URIS] == ["i1", "i2", "i3"]


def test_one_row_per_matched_image_and_attribute() -> None:
    found, unmatched = rows(subject=None)
    assert unmatched == 2
    expected = {
        ("i1", "gender"): "F",
        ("i2", "gender"): "F",
        ("i3", "gender"): None,
        ("i1", "age"): "30",
        ("i2", "age"): None,
        ("i3", "age"): "50",
    }
    assert {(r["image_id"], r["attribute"]): r["value"] for r in found.to_pylist()} == expected
    assert found.num_rows == len(expected)
    assert set(found["source"].to_pylist()) == {"declared"}


def test_rows_conform_to_the_contract() -> None:
    found, _ = rows()
    conform(found.append_column("run_id", pa.array(["r"] * len(found))), LABELS)


def test_the_subject_becomes_a_keyed_pseudonym() -> None:
    found = {r["image_id"]: r["value"] for r in rows()[0].to_pylist() if r["attribute"] == "subject"}
    assert found["i1"] == found["i2"] != found["i3"]
    mac = hmac.new(SECRET, b"Ada Lovelace", hashlib.sha256).hexdigest()
    assert found["i1"] == "s" + mac[:24]
    other = {r["image_id"]: r["value"] for r in rows(secret=b"another")[0].to_pylist() if r["attribute"] == "subject"}
    assert not set(found.values()) & set(other.values())


def test_pseudonyms_never_contain_the_name() -> None:
    for name in ["a", "Ada Lovelace", "ß", "x" * 1000]:
        assert re.fullmatch("s[0-9a-f]{24}", pseudonym(name, SECRET))
    written = str(rows()[0].to_pydict())
    for name in filter(None, NAMES):
        for part in name.split():
            assert part.lower() not in written.lower()


def test_a_missing_subject_stays_missing() -> None:
    table = labels().set_column(1, "subject", pa.array([None, "", "x", None, None], pa.string()))
    found, _ = label_rows(table, LabelColumns("file", "person", ()), IMAGES, SECRET, "labels.csv")
    assert [r["value"] is None for r in found.to_pylist()] == [True, True, False]


def test_no_match_at_all_is_refused_without_showing_a_value() -> None:
    table = pa.table({"key": ["p/secret-name.jpg", "q.jpg"], "gender": ["F", "M"]})
    with pytest.raises(ConfigError, match=r"labels file people\.csv: none of the 2 values of column file") as caught:
        label_rows(table, LabelColumns("file", None, ("gender",)), IMAGES, SECRET, "people.csv")
    assert "secret-name" not in str(caught.value)


def test_an_empty_labels_file_gives_no_rows() -> None:
    found, unmatched = label_rows(
        labels().slice(0, 0), LabelColumns("file", None, ("gender",)), IMAGES, SECRET, "l.csv"
    )
    assert (found.num_rows, unmatched) == (0, 0)
