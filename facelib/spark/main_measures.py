"""What was measured of the main faces of a run, beside their labels and identities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun
from facelib.spark.main_faces import Categories, MainFaces

Int64 = npt.NDArray[np.int64]
MOST_SOURCES = 50
"""More first folders than this are no sources."""


@dataclass(frozen=True)
class MainMeasures:
    """values: by measure, float64 (faces,), NaN where unknown. source: int64 (faces,), the first folder below the
    archive's root, or None where there is one or more than MOST_SOURCES. codes: int64 (faces, attributes), the number
    of categories where missing. identity: int64 (faces,)."""

    values: Mapping[str, npt.NDArray[np.float64]]
    source: Int64 | None
    codes: Int64
    identity: Int64


def main_measures(context: StageContext, categories: Categories) -> MainMeasures:
    """Of the main faces of the run, or of those of drawn identities (`main_faces.MOST_FACES`)."""
    run = FinishedRun(context.store, context.place, context.record)
    faces = MainFaces(run, categories)
    labels = [faces.labels(a) for a in categories]
    codes = np.stack([np.where(found.codes < 0, len(found.categories), found.codes) for found in labels], axis=1)
    measures = faces.measures
    values = {name: measures.column(name).to_numpy() for name in measures.column_names}
    return MainMeasures(values, _sources(run, faces), codes, labels[0].unit)


def _sources(run: FinishedRun, faces: MainFaces) -> Int64 | None:
    listed = run.images()
    folder = pc.list_element(pc.split_pattern(listed.column("key"), "/", max_splits=1), 0)
    if not 1 < pc.count_distinct(folder).as_py() <= MOST_SOURCES:
        return None
    at = pc.index_in(pa.array(faces.image_ids, pa.string()), value_set=listed.column("image_id").combine_chunks())
    found: Int64 = pc.dictionary_encode(folder).combine_chunks().indices.take(at).cast(pa.int64()).to_numpy()
    return found
