"""What was measured of the main faces of a run, beside their labels and identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.reports.measures_by_group import chosen_measures
from facelib.spark.evaluation import FinishedRun
from facelib.spark.main_faces import Categories, MainFaces, numbered

Int64 = npt.NDArray[np.int64]
MOST_KINDS = 50
"""More first folders than this are no sources; of more cameras the rarer ones count as one."""


@dataclass(frozen=True)
class MainMeasures:
    """values: by measure, float64 (faces,), NaN where unknown. kinds: int64 (faces,), numbered from 0: `source`, the
    first folder below the archive's root, and `camera`, where no name is a kind of its own; each only where there are
    several. codes: int64 (faces, attributes), the number of categories where missing. identity: int64 (faces,)."""

    values: Mapping[str, npt.NDArray[np.float64]]
    kinds: Mapping[str, Int64]
    codes: Int64
    identity: Int64


def main_measures(run: FinishedRun, faces: MainFaces, categories: Categories, nuisances: Sequence[str]) -> MainMeasures:
    """The chosen `nuisances` (`facelib.audit.settings.NUISANCES`) of the faces that are drawn, and their labels."""
    labels = [faces.labels(a) for a in categories]
    codes = np.stack([np.where(found.codes < 0, len(found.categories), found.codes) for found in labels], axis=1)
    values = {name: faces.measures.column(name).to_numpy() for name in chosen_measures(nuisances)}
    kinds = {}
    if "source" in nuisances:
        kinds["source"] = _sources(run, faces)
    if "camera" in nuisances:
        kinds["camera"] = camera_kinds(faces.cameras)
    found = {name: kind for name, kind in kinds.items() if kind is not None}
    return MainMeasures(values, found, codes, labels[0].unit)


def _sources(run: FinishedRun, faces: MainFaces) -> Int64 | None:
    listed = run.images()
    folder = pc.list_element(pc.split_pattern(listed.column("key"), "/", max_splits=1), 0)
    if not 1 < pc.count_distinct(folder).as_py() <= MOST_KINDS:
        return None
    at = pc.index_in(pa.array(faces.image_ids, pa.string()), value_set=listed.column("image_id").combine_chunks())
    return numbered(folder.take(at))


def camera_kinds(cameras: pa.ChunkedArray) -> Int64 | None:
    """A number per camera's name, null included, int64 (faces,); None where all faces have the same.

    The MOST_KINDS − 1 commonest names have one each, all others the next.
    """
    names = cameras.fill_null("")
    counted = sorted(pc.value_counts(names).to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    if len(counted) < 2:
        return None
    common = pa.array([row["values"] for row in counted[: MOST_KINDS - 1]], pa.string())
    found: Int64 = pc.index_in(names, value_set=common).fill_null(len(common)).cast(pa.int64()).to_numpy()
    return found
