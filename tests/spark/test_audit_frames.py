"""Units counted in tasks, against the same units counted on the driver row by row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from facelib.audit.joint_counts import attribute_sets
from facelib.audit.unit_counts import UnitCounts
from facelib.ids import digest
from facelib.reports.audit_units import audit_units
from facelib.reports.balance import balance_cells
from facelib.reports.balance_summary import balance_summary
from facelib.reports.losses import losses
from facelib.reports.units import cluster_units, face_units, image_units, values_by_image
from facelib.reports.units_counted import unit_counts
from facelib.spark.audit_frames import (
    cluster_events,
    count,
    face_events,
    image_events,
    label_events,
    unit_frame,
    vote,
)

CATEGORIES = {"gender": ("M", "F", "X"), "age": ("old", "young"), "none": ()}


def random_tables(seed: int) -> dict[str, pa.Table]:
    """Images of which some failed, with up to three faces each, in clusters with and without a majority."""
    rng = np.random.default_rng(seed)
    n = 400
    images = [f"i{i:03d}" if seed % 2 else digest("image", str(i)) for i in range(n)]
    n_faces = rng.integers(0, 4, n)
    failed = rng.random(n) < 0.1
    n_faces[failed] = 0
    owner = np.repeat(np.arange(n), n_faces)
    index = np.concatenate([np.arange(k) for k in n_faces])
    faces = [f"{images[o]}-{i}" for o, i in zip(owner.tolist(), index.tolist(), strict=True)]
    cluster = rng.integers(0, 120, len(faces))
    noise = rng.random(len(faces)) < 0.2
    labels = [
        (image, attribute, [*values, None][rng.integers(0, len(values) + 1)])
        for image in images
        for attribute, values in {**CATEGORIES, "gender": (*CATEGORIES["gender"], "Q")}.items()
        if rng.random() < 0.8
    ]
    labels += [(image, "subject", f"s{rng.integers(0, 60)}") for image in images if rng.random() < 0.3]
    return {
        "images": pa.table(
            {
                "image_id": images,
                "status": np.where(failed | (n_faces == 0), "rejected", "ok"),
                "reason": [
                    "truncated" if bad else "no_face" if k == 0 else None
                    for bad, k in zip(failed, n_faces, strict=True)
                ],
                "n_faces": pa.array(n_faces, mask=failed),
            }
        ),
        "faces": pa.table({"image_id": [images[o] for o in owner], "is_usable": rng.random(len(faces)) < 0.7}),
        "clusters": pa.table(
            {
                "face_id": faces,
                "image_id": [images[o] for o in owner],
                "cluster_id": pa.array([f"c{c}" for c in cluster], mask=noise),
                "role": np.where(noise, "noise", "core"),
            }
        ),
        "labels": pa.table(
            [pa.array(column, pa.string()) for column in zip(*labels, strict=True)],
            names=["image_id", "attribute", "value"],
        ),
    }


def events_of(spark: SparkSession, tables: dict[str, pa.Table], categories: dict[str, tuple[str, ...]]) -> DataFrame:
    """What tasks read of the tables, each in two files."""
    makers = {
        "images": image_events,
        "faces": face_events,
        "clusters": cluster_events,
        "labels": lambda rows: label_events(rows, categories),
    }
    halves = [
        make(part) for name, make in makers.items() for part in (tables[name].slice(0, 200), tables[name].slice(200))
    ]
    return spark.createDataFrame(pa.concat_tables(halves).combine_chunks())


SETS = attribute_sets(list(CATEGORIES), [tuple(CATEGORIES)])


@pytest.mark.parametrize("seed", [1, 2])
def test_tasks_count_what_the_driver_counts(spark: SparkSession, seed: int) -> None:
    """Rows of every table are equal to the last bit of their counts, in parts and in one piece."""
    tables = random_tables(seed)
    expected = audit_units(*(tables[n] for n in ("images", "faces", "clusters", "labels")), CATEGORIES, SETS)
    frame = unit_frame(events_of(spark, tables, CATEGORIES), CATEGORIES, 3)
    images, faces, lost = count(frame, CATEGORIES, SETS, 4)
    votes, subjects = vote(frame, CATEGORIES, 2)
    units = {
        "image": images,
        "face": faces,
        "cluster": UnitCounts(votes.joint, {}),
        "subject": UnitCounts(subjects.joint, {}),
    }
    assert list(expected.units) == list(units)
    for make in (balance_cells, balance_summary):
        assert make(units, list(CATEGORIES), CATEGORIES).equals(make(expected.units, list(CATEGORIES), CATEGORIES))
    found = losses(lost, list(CATEGORIES), CATEGORIES)
    assert found.equals(losses(expected.losses, list(CATEGORIES), CATEGORIES))
    assert votes.agreement == pytest.approx(expected.agreement)


def test_the_driver_counts_what_a_loop_over_the_rows_counts() -> None:
    tables = random_tables(3)
    found = audit_units(*(tables[n] for n in ("images", "faces", "clusters", "labels")), CATEGORIES, SETS)
    attributes, values = list(CATEGORIES), values_by_image(tables["labels"], list(CATEGORIES))
    values["gender"] = {image: value for image, value in values["gender"].items() if value != "Q"}
    clusters = tables["clusters"]
    faces, owners, names = (clusters.column(c).to_pylist() for c in ("face_id", "image_id", "cluster_id"))
    image_ids = tables["images"].column("image_id").to_pylist()
    expected = {
        "image": image_units(image_ids, values),
        "face": face_units(faces, owners, values),
        "cluster": cluster_units(faces, owners, names, values),
    }
    for unit, table in expected.items():
        for attribute_set in SETS:
            counts = unit_counts(table, attributes, CATEGORIES).table(attribute_set)
            np.testing.assert_array_equal(found.units[unit].table(attribute_set), counts)

    subject = values_by_image(tables["labels"], ["subject"])["subject"]
    main = {o: c for f, o, c in zip(faces, owners, names, strict=True) if f.endswith("-0")}
    identity = [subject.get(i) or main.get(i) or i for i in image_ids]
    moments = found.units["image"].moments[("gender",)].everyone
    groups = [values["gender"].get(i) for i in image_ids]
    for cell, group in enumerate(("M", "F", "X")):
        held = Counter(who for who, of in zip(identity, groups, strict=True) if of == group)
        assert moments.identities[cell] == len(held)
        assert moments.own_squares[cell] == sum(n * n for n in held.values())
    sizes = Counter(identity)
    assert moments.squares == sum(n * n for n in sizes.values())
    known = [sizes[who] for who, of in zip(identity, groups, strict=True) if of == "M"]
    assert moments.cross[0] == sum(known)


def test_without_attributes_images_are_counted_by_their_stages(spark: SparkSession) -> None:
    tables = random_tables(3)
    images, _, lost = count(unit_frame(events_of(spark, tables, {}), {}, 2), {}, [], 2)
    expected = audit_units(*(tables[n] for n in ("images", "faces", "clusters", "labels")), {}, [])
    assert images.joint.units == 400
    assert losses(lost, [], {}).equals(losses(expected.losses, [], {}))
    assert expected.units == {}
