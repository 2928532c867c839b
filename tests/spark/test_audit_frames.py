"""Units counted in tasks, against the same units counted on the driver row by row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from facelib.audit.joint_counts import JointCounts, attribute_sets
from facelib.reports.balance import joint_counts
from facelib.reports.losses import PASSED, losses
from facelib.reports.units import cluster_units, face_units, image_units, values_by_image
from facelib.spark.audit_frames import count_clusters, count_faces, count_images, image_codes

CATEGORIES = {"gender": ("M", "F", "X"), "age": ("old", "young"), "none": ()}


def random_tables(seed: int) -> dict[str, pa.Table]:
    """Images of which some failed, with up to three faces each, in clusters with and without a majority."""
    rng = np.random.default_rng(seed)
    n = 400
    images = [f"i{i:03d}" for i in range(n)]
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
        for attribute, values in CATEGORIES.items()
        if rng.random() < 0.8
    ]
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


def as_frames(spark: SparkSession, tables: dict[str, pa.Table]) -> dict[str, DataFrame]:
    return {name: spark.createDataFrame(table) for name, table in tables.items()}


def assert_equal_tables(found: JointCounts, expected: JointCounts) -> None:
    for names in attribute_sets(list(expected.categories)):
        np.testing.assert_array_equal(found.table(*names), expected.table(*names))
    assert found.units == expected.units


@pytest.mark.parametrize("seed", [1, 2])
def test_tasks_count_what_a_loop_over_the_rows_counts(spark: SparkSession, seed: int) -> None:
    tables = random_tables(seed)
    frames = as_frames(spark, tables)
    codes = image_codes(frames["labels"], CATEGORIES)
    found = count_images(frames["images"], frames["faces"], frames["clusters"], codes, CATEGORIES)

    attributes, values = list(CATEGORIES), values_by_image(tables["labels"], list(CATEGORIES))
    clusters = tables["clusters"]
    faces, owners, names = (clusters.column(c).to_pylist() for c in ("face_id", "image_id", "cluster_id"))
    units = {
        "image": image_units(tables["images"].column("image_id").to_pylist(), values),
        "face": face_units(faces, owners, values),
        "cluster": cluster_units(faces, owners, names, values),
    }
    expected = {unit: joint_counts(table, attributes, CATEGORIES) for unit, table in units.items()}
    assert_equal_tables(found.of(*attributes), expected["image"])
    assert_equal_tables(count_faces(frames["clusters"], codes, CATEGORIES), expected["face"])
    assert_equal_tables(count_clusters(frames["clusters"], codes, CATEGORIES), expected["cluster"])

    def per_image(rows: pa.Table, wanted: pa.Array) -> list[int]:
        kept = rows.filter(wanted).column("image_id").to_pylist()
        return [kept.count(image) for image in tables["images"].column("image_id").to_pylist()]

    outcomes = tables["images"].append_column(
        "n_usable", [per_image(tables["faces"], tables["faces"].column("is_usable"))]
    )
    outcomes = outcomes.append_column("n_clustered", [per_image(clusters, pa.compute.is_valid(clusters["cluster_id"]))])
    for name, column in zip(attributes, units["image"].columns, strict=True):
        outcomes = outcomes.append_column(name, column)
    assert losses(found, attributes, CATEGORIES).equals(losses(outcomes, attributes, CATEGORIES))
    assert found.table(PASSED)[:-1].min() > 0


def test_without_attributes_images_are_counted_by_their_stages(spark: SparkSession) -> None:
    tables = random_tables(3)
    frames = [
        spark.createDataFrame(
            tables["images"].to_pylist(), "image_id string, status string, reason string, n_faces long"
        ),
        *(spark.createDataFrame(tables[name].to_pandas()) for name in ("faces", "clusters")),
    ]
    found = count_images(*frames, image_codes(spark.createDataFrame(tables["labels"].to_pandas()), {}), {})
    assert found.units == 400
    assert list(found.categories) == [PASSED]
