"""Units of the audit on Spark, counted by all their attributes at once: images, faces and clusters."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from facelib.audit.joint_counts import JointCounts
from facelib.reasons import ImageReason
from facelib.reports.losses import PASSED, PASSED_STAGES

Categories = Mapping[str, Sequence[str]]


def image_codes(labels: DataFrame, categories: Categories) -> DataFrame:
    """(image_id, c0, c1, …) of the images with a label: position of each attribute's value among its categories, null
    where it has none. `labels` is the table of that name."""
    of_each = [
        f.max(f.when(f.col("attribute") == name, _code(f.col("value"), values))).alias(f"c{i}")
        for i, (name, values) in enumerate(categories.items())
    ]
    return labels.groupBy("image_id").agg(f.lit(True).alias("is_labelled"), *of_each).drop("is_labelled")


def _code(value: Column, categories: Sequence[str]) -> Column:
    pairs = chain.from_iterable((f.lit(name), f.lit(i)) for i, name in enumerate(categories))
    return f.element_at(f.create_map(*pairs), value) if categories else f.lit(None).cast("int")


def count_images(
    images: DataFrame, faces: DataFrame, clusters: DataFrame, codes: DataFrame, categories: Categories
) -> JointCounts:
    """Images by all their attributes and by the number of stages they passed (`reports.losses.PASSED`).

    `images` has image_id, status, reason and n_faces, `faces` image_id and is_usable, `clusters` image_id and role,
    `codes` is from `image_codes`.
    """
    usable = faces.where("is_usable").groupBy("image_id").agg(f.count("*").alias("n_usable"))
    clustered = clusters.where("role <> 'noise'").groupBy("image_id").agg(f.count("*").alias("n_clustered"))
    read = (f.col("status") == "ok") | (f.col("reason") == str(ImageReason.NO_FACE))
    passed = [f.coalesce(read, f.lit(False))]
    for column in ("n_faces", "n_usable", "n_clustered"):
        passed.append(passed[-1] & (f.coalesce(f.col(column), f.lit(0)) > 0))
    stages = reduce(operator.add, (flag.cast("int") for flag in passed))
    joined = images.join(usable, "image_id", "left").join(clustered, "image_id", "left").join(codes, "image_id", "left")
    axes = {**categories, PASSED: PASSED_STAGES}
    return _counted(joined.withColumn(f"c{len(categories)}", stages), axes)


def count_faces(clusters: DataFrame, codes: DataFrame, categories: Categories) -> JointCounts:
    """Faces by all their attributes: a label describes its image's main face, other faces have none. `clusters` has
    face_id and image_id."""
    labelled = _with_codes(clusters, codes)
    return _counted(labelled, categories)


def count_clusters(clusters: DataFrame, codes: DataFrame, categories: Categories) -> JointCounts:
    """Clusters by all their attributes: each has the value that most of its labelled faces have; a tie is missing.
    `clusters` has face_id, image_id and cluster_id."""
    members = _with_codes(clusters.where("cluster_id IS NOT NULL"), codes)
    named = members.select("cluster_id").distinct()
    return _counted(named.join(_majority(members, len(categories)), "cluster_id", "left"), categories)


def _with_codes(clusters: DataFrame, codes: DataFrame) -> DataFrame:
    main = f.when(f.col("face_id") == f.concat("image_id", f.lit("-0")), f.col("image_id"))
    return clusters.withColumn("main_of", main).join(codes.withColumnRenamed("image_id", "main_of"), "main_of", "left")


def _names(categories: Categories) -> list[str]:
    return [f"c{i}" for i in range(len(categories))]


def _majority(faces: DataFrame, attributes: int) -> DataFrame:
    """(cluster_id, c0, c1, …): the most frequent code of each attribute; null without any, and where two tie."""
    codes = f.array(*(f.col(f"c{i}") for i in range(attributes)))
    votes = faces.select("cluster_id", f.posexplode(codes).alias("attribute", "code")).where("code IS NOT NULL")
    counted = votes.groupBy("cluster_id", "attribute", "code").agg(f.count("*").alias("n"))
    ranked = counted.groupBy("cluster_id", "attribute").agg(
        f.sort_array(f.collect_list(f.struct("n", "code")), asc=False).alias("votes")
    )
    first, second = f.col("votes")[0], f.get(f.col("votes"), f.lit(1))
    won = f.when(second.isNull() | (first["n"] > second["n"]), first["code"])
    chosen = ranked.select("cluster_id", "attribute", won.alias("code"))
    of_each = [f.max(f.when(f.col("attribute") == i, f.col("code"))).alias(f"c{i}") for i in range(attributes)]
    return chosen.groupBy("cluster_id").agg(*of_each)


def _counted(frame: DataFrame, categories: Categories) -> JointCounts:
    names = _names(categories)
    sizes = dict(zip(names, (len(values) for values in categories.values()), strict=True))
    rows = frame.select(*(f.coalesce(name, f.lit(size)).alias(name) for name, size in sizes.items()))
    counted = rows.groupBy(*names).agg(f.count("*").alias("n")).toArrow()
    codes = np.stack([counted.column(name).to_numpy() for name in names], axis=1)
    order = np.lexsort(codes.T[::-1])
    return JointCounts(categories, codes[order].astype(np.int64), counted.column("n").to_numpy()[order])
