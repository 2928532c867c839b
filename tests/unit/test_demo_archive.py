"""The planted archive: what `planted.json` says against the files that were written."""

from __future__ import annotations

import csv
import hashlib
import json
import struct
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facelib.demo.archive import ATTRIBUTES, ArchivePlan, pictures_per_identity, write_archive
from facelib.errors import ConfigError
from facelib.images.decode import DecodeSettings

pytestmark = pytest.mark.unit

SMALL = ArchivePlan(
    identities=4, fewest=2, most=5, seed=3, exact_duplicates=2, near_duplicates=4, group_pictures=1,
    empty_cell_share=0.2, unlabelled=2, size=96, skin_tone={"light": 0.5, "medium": 0.25, "dark": 0.25},
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive") / "demo", SMALL)


def files_of(archive):
    return {p.relative_to(archive.images).as_posix(): p for p in archive.images.rglob("*") if p.is_file()}


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(archive):
    with archive.labels.open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_planted_json_is_what_is_returned(archive):
    assert json.loads((archive.folder / "planted.json").read_text()) == archive.planted
    assert archive.planted["files"] == len(files_of(archive))


def test_every_file_is_accounted_for_once(archive):
    planted = archive.planted
    known = [*planted["subject_of"], *planted["group_pictures"], *planted["rejected"]]
    assert sorted(known) == sorted(files_of(archive))


def test_same_plan_gives_the_same_bytes_in_any_number_of_processes(archive, tmp_path):
    again = write_archive(tmp_path / "again", SMALL, processes=2)
    assert {n: sha(p) for n, p in files_of(again).items()} == {n: sha(p) for n, p in files_of(archive).items()}
    assert again.labels.read_bytes() == archive.labels.read_bytes()


def test_equal_bytes_are_exactly_the_planted_duplicates(archive):
    files = files_of(archive)
    groups = {}
    for name, path in files.items():
        groups.setdefault(sha(path), set()).add(name)
    planted = {frozenset(pair.values()) for pair in archive.planted["exact_duplicates"]}
    assert {frozenset(g) for g in groups.values() if len(g) > 1} == planted
    assert len(planted) == SMALL.exact_duplicates


def test_near_duplicates_look_alike_and_differ_in_bytes(archive):
    files = files_of(archive)
    pairs = archive.planted["near_duplicates"]
    assert {p["change"] for p in pairs} == {"re-encoded", "resized", "brighter", "png"}
    for pair in pairs:
        one, two = (files[pair[k]] for k in ("original", "copy"))
        assert sha(one) != sha(two)
        a, b = (np.asarray(Image.open(p).convert("L").resize((32, 32)), float) for p in (one, two))
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99


def test_damaged_files_have_the_stated_property(archive):
    files, rejected = files_of(archive), archive.planted["rejected"]
    by_reason = {}
    for name, reason in rejected.items():
        by_reason.setdefault(reason, []).append(files[name])
    (empty,) = by_reason["empty"]
    assert empty.stat().st_size == 0
    (text,) = by_reason["not_an_image"]
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(text)
    (cut,) = by_reason["truncated"]
    with Image.open(cut) as image, pytest.raises(OSError, match="truncated"):
        image.load()
    (ppm,) = by_reason["unsupported_format"]
    with Image.open(ppm) as image:
        assert image.format == "PPM"
    (huge,) = by_reason["too_many_pixels"]
    width, height = struct.unpack(">II", huge.read_bytes()[16:24])
    assert width * height > DecodeSettings().max_pixels
    assert int.from_bytes(huge.read_bytes()[16:20], "big") == 60000
    for path in by_reason["no_face"]:
        with Image.open(path) as image:
            image.load()


def test_unusual_files_are_readable_and_what_they_claim(archive):
    files = files_of(archive)
    assert len(archive.planted["unusual_but_readable"]) == 4
    with Image.open(files["odd/png_named_jpg.jpg"]) as image:
        assert image.format == "PNG"
        image.load()
    with Image.open(files["odd/cmyk.jpg"]) as image:
        assert image.mode == "CMYK"
    assert files["odd/sixteen_bit.png"].read_bytes()[24] == 16
    with Image.open(files["odd/sixteen_bit.png"]) as image:
        assert np.asarray(image.convert("RGB")).shape == (96, 96, 3)
    with Image.open(files["odd/rotated.jpg"]) as image:
        assert image.getexif()[0x0112] == 6


def test_labels_agree_with_the_truth_and_omit_what_was_planned(archive):
    planted, rows = archive.planted, rows_of(archive)
    assert list(rows[0]) == ["file", "subject", *ATTRIBUTES]
    named = {row["file"] for row in rows}
    assert len(named) == len(rows) == planted["label_rows"]
    assert named == set(planted["subject_of"]) - set(planted["unlabelled"])
    assert len(planted["unlabelled"]) == SMALL.unlabelled
    empty = {(row["file"], a) for row in rows for a in ATTRIBUTES if not row[a]}
    assert empty == {(cell["file"], cell["column"]) for cell in planted["empty_cells"]}
    assert len(empty) == round(SMALL.empty_cell_share * len(rows))
    for row in rows:
        assert row["subject"] == planted["subject_of"][row["file"]]
        assert all(row[a] in ("", planted["subjects"][row["subject"]][a]) for a in ATTRIBUTES)


def test_counts_per_category_follow_the_files(archive):
    planted = archive.planted
    for attribute in ATTRIBUTES:
        images = Counter(planted["subjects"][s][attribute] for s in planted["subject_of"].values())
        assert planted["images_per_category"][attribute] == images
    assert planted["identities_per_category"]["skin_tone"] == {"light": 2, "medium": 1, "dark": 1}


def test_default_plan_is_unbalanced_and_has_about_eight_pictures_each():
    plan = ArchivePlan()
    counts = pictures_per_identity(plan)
    assert len(counts) == 60
    assert min(counts) == 4
    assert max(counts) == 14
    assert np.mean(counts) == pytest.approx(8, abs=0.3)
    assert np.median(counts) < np.mean(counts)
    assert plan.skin_tone == {"light": 0.70, "medium": 0.22, "dark": 0.08}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"identities": 1}, "identities"),
        ({"fewest": 6}, "fewest"),
        ({"glasses": {"yes": 0.5, "no": 0.6}}, "glasses"),
    ],
)
def test_an_impossible_plan_is_refused(tmp_path, change, word):
    with pytest.raises(ConfigError, match=word):
        write_archive(tmp_path / "x", replace(SMALL, **change))


def test_an_existing_archive_is_not_overwritten(archive):
    with pytest.raises(ConfigError, match="already holds"):
        write_archive(archive.folder, SMALL)
