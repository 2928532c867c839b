"""Error rates of a stored run against comparing its main faces pair by pair."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.audit.settings import AuditSettings
from facelib.config import config_dict
from facelib.spark.context import StageContext
from facelib.spark.error_stage import MOST_GROUPS, error_audit
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place
from facelib.storage import StorageSettings, open_store

pytestmark = pytest.mark.unit

N, SUBJECTS, TARGET = 120, 40, 0.05
CATEGORIES = {"gender": ("F", "M", "X"), "age": ("old", "young")}
Rows = list[dict[str, Any]]


def subject_of(i: int) -> int:
    return i % SUBJECTS


def gender_of(i: int) -> str | None:
    return None if subject_of(i) >= 36 else "F" if subject_of(i) % 3 == 0 else "M"


def labels(name: Callable[[int], str] = lambda s: f"s{s}") -> Rows:
    """Subjects of the first 115 images, gender by subject, age by image, and a gender that nobody declared."""
    rows: Rows = []
    for i in range(N):
        values = {
            "subject": name(subject_of(i)) if i < 115 else None,
            "gender": "?" if i == 7 else gender_of(i),
            "age": "old" if i % 2 else "young",
        }
        rows += [{"image_id": f"i{i:03d}", "attribute": a, "value": v} for a, v in values.items()]
    return rows


class Archive:
    """120 images of 40 people; image 3 is a copy of image 43, both of one person, and image 5 has no face.

    Every tenth image has a second face, which has no label.
    """

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(5)
        self.images = [f"i{i:03d}" for i in range(N)]
        self.faces = [f"i{i:03d}-0" for i in range(N) if i != 5] + [f"i{i:03d}-1" for i in range(0, N, 10)]
        centre = rng.normal(size=(SUBJECTS, 8))
        self.vector = {f: centre[subject_of(int(f[1:4]))] + 0.6 * rng.normal(size=8) for f in self.faces}
        self.vector["i003-0"] = self.vector["i043-0"]
        self.store = open_store(str(folder / "out"))
        self.place = Place(self.store.root, StorageSettings())

    def context(self, label_rows: Rows | None, withheld: Sequence[str] = (), **audit: Any) -> StageContext:
        config = PipelineConfig(audit=AuditSettings(**({"error_fmr": (TARGET, 1e-6), "min_cell": 0} | audit)))
        record = RunRecord.begin("images", {}, config_dict(config), "0")
        record.models, record.shards = (
            {"embedder": "m"},
            ["store/extracted/x/one.parquet", "store/extracted/x/two.parquet"],
        )
        record.stages["cluster"] = {"cohort_distance": 0.5}
        order = np.random.default_rng(1).permutation(len(self.faces))
        for name, part in (("one", order[:70]), ("two", order[70:])):
            ids = [self.faces[k] for k in part]
            rows = {"face_id": ids, "embedding": [(3 * self.vector[f]).astype(np.float32) for f in ids]}
            self.put(f"store/embeddings/model_id=m/{name}.parquet", pa.table(rows))
        duplicate = ["i043" if i == "i003" else None for i in self.images]
        cells = [{"attributes": ["gender"], "groups": [g], "is_suppressed": g in withheld} for g in ("F", "M", None)]
        found = {
            "images": pa.table({"image_id": self.images, "duplicate_of": pa.array(duplicate, pa.string())}),
            "clusters": pa.table(
                {
                    "face_id": self.faces,
                    "image_id": [f[:4] for f in self.faces],
                    "cluster_id": [None if f == "i001-0" else f"c{subject_of(int(f[1:4]))}" for f in self.faces],
                }
            ),
            "balance": pa.Table.from_pylist(cells),
            "threshold_curve": pa.Table.from_pylist(
                [
                    {"attributes": a, "groups": g, "similarity": 0.9, "is_floor": True, "n_faces": n,
                     "is_suppressed": False, "fmr_estimated": fmr, "fmr_ci_low": fmr, "fmr_ci_high": fmr}
                    for a, g, n, fmr in (([], [], 110, 1e-5), (["gender"], ["F"], 40, 1e-4))
                ]
            ),
        }  # fmt: skip
        if label_rows is not None:
            found["labels"] = pa.Table.from_pylist(
                label_rows, pa.schema([(c, pa.string()) for c in ("image_id", "attribute", "value")])
            )
        for name, rows in found.items():
            key = f"runs/{record.run_id}/{name}/part-00000.parquet"
            self.put(key, rows)
            record.tables[name] = {"version": 1, "rows": len(rows), "files": {key: len(rows)}}
        return StageContext(cast(Any, None), config, self.place, record)

    def put(self, key: str, rows: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        self.store.put(key, sink.getvalue())

    def read(self, context: StageContext, name: str) -> Rows:
        (key,) = context.record.tables[name]["files"]
        rows: Rows = pq.read_table(io.BytesIO(self.store.get(key))).drop_columns("run_id").to_pylist()
        return rows

    def compared(self) -> list[int]:
        """Images whose main faces are compared: with a face and a subject, the copies once."""
        return [i for i in range(115) if i not in (5, 43)]

    def pairs(self) -> list[tuple[float, int, int]]:
        unit = {f: v / np.linalg.norm(v) for f, v in self.vector.items()}
        return [(float(unit[f"i{i:03d}-0"] @ unit[f"i{j:03d}-0"]), i, j) for i, j in combinations(self.compared(), 2)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_rates_equal_comparing_main_faces_pair_by_pair(archive: Archive) -> None:
    context = archive.context(labels())
    facts = error_audit(context, CATEGORIES)["errors"]
    rows = archive.read(context, "error_rates")
    found = {(r["attribute"], r["group"], r["other_group"]): r for r in rows if r["target_fmr"] == TARGET}
    assert len(found) == 1 + (1 + 9) + (1 + 4)
    assert {r["threshold"] for r in rows if r["target_fmr"] == 1e-6} == {None}
    pairs = archive.pairs()
    non_mated = np.sort([s for s, i, j in pairs if subject_of(i) != subject_of(j)])[::-1]
    threshold = non_mated[int(TARGET * len(non_mated))]
    assert [r["threshold"] for r in found.values()] == [pytest.approx(threshold, abs=1e-6)] * 16

    def group(attribute: str, i: int) -> str | None:
        if attribute == "gender":
            return None if i == 7 else gender_of(i)
        return "old" if i % 2 else "young"

    for (attribute, one, other), row in found.items():
        own = pairs
        if attribute is not None and one is None:
            own = [p for p in pairs if group(attribute, p[1]) == group(attribute, p[2]) is not None]
        elif attribute is not None:
            own = [
                p for p in pairs if {(group(attribute, p[1]), group(attribute, p[2]))} & {(one, other), (other, one)}
            ]
        false = [s > threshold + 1e-6 for s, i, j in own if subject_of(i) != subject_of(j)]
        missed = [s <= threshold + 1e-6 for s, i, j in own if subject_of(i) == subject_of(j)]
        assert (row["n_non_mated"], row["n_false_matches"]) == (len(false), sum(false))
        if one == other and (one or not attribute):
            assert (row["n_mated"], row["n_false_non_matches"]) == (len(missed), sum(missed))
            members = [i for i in archive.compared() if attribute is None or group(attribute, i) == one]
            assert (row["n_faces"], row["n_subjects"]) == (len(members), len({subject_of(i) for i in members}))
        else:
            assert row["n_mated"] is None
    assert sum(r["n_false_matches"] for r in found.values()) > 100
    assert facts == {
        "rates": 32, "summary": 4 + (18 + 12) + (18 + 8), "estimator": "subjects", "faces": 113, "of_faces": 113,
        "subjects": 40, "of_subjects": 40, "copies_left_out": 1, "seed": 0, "resamples": 1000,
        "attributes_left_out": [],
    } | {"seed": context.config.cluster.seed}  # fmt: skip


def test_clusters_are_those_of_the_main_faces_noise_alone(archive: Archive) -> None:
    context = archive.context(labels())
    error_audit(context, CATEGORIES)
    rows = archive.read(context, "error_summary")
    whole = next(r for r in rows if r["attribute"] is None and r["measure"] == "whole_share")
    assert (whole["n"], whole["value"], whole["similarity"]) == (40, 39 / 40, "corrected")
    of_gender = {
        r["group"]: r["value"] for r in rows if r["attribute"] == "gender" and r["measure"] == "clusters_per_subject"
    }
    assert of_gender == {"F": 1.0, "M": pytest.approx(25 / 24), "X": None}


def test_how_subjects_are_named_changes_nothing(archive: Archive) -> None:
    contexts = archive.context(labels()), archive.context(labels(lambda s: f"{(7 * s) % SUBJECTS:03d}"))
    for context in contexts:
        error_audit(context, CATEGORIES)
    for name in ("error_rates", "error_summary"):
        first, second = (archive.read(context, name) for context in contexts)
        assert first == second


def test_more_faces_than_may_be_compared_are_drawn_by_subject(archive: Archive) -> None:
    context = archive.context(labels(), error_faces=60)
    facts = error_audit(context, CATEGORIES)["errors"]
    whole = archive.read(context, "error_rates")[0]
    assert facts["faces"] == whole["n_faces"] <= 60
    assert facts["faces"] > 57
    assert (facts["of_faces"], facts["of_subjects"]) == (113, 40)
    mated = [c for s in range(SUBJECTS) for c in [sum(subject_of(i) == s for i in archive.compared())]]
    assert set(mated) == {2, 3}
    assert whole["n_subjects"] == facts["subjects"] < 40
    assert whole["n_mated"] >= whole["n_subjects"]  # all faces of each


def test_groups_that_balance_withholds_are_withheld(archive: Archive) -> None:
    context = archive.context(labels(), withheld=["F"], min_cell=3)
    error_audit(context, CATEGORIES)
    rows = [r for r in archive.read(context, "error_rates") if r["target_fmr"] == TARGET]
    own = {r["group"]: r for r in rows if r["attribute"] == "gender" and r["group"] == r["other_group"]}
    assert [(g, own[g]["n_faces"], own[g]["fmr"] is None) for g in ("F", "M", "X")] == [
        ("F", None, False), ("M", None, False), ("X", 0, True),
    ]  # fmt: skip
    assert not any(r["is_suppressed"] for r in rows)


def test_groups_of_few_subjects_have_no_figure(archive: Archive) -> None:
    """12 subjects are F and 24 M; beside the former only M could stand in."""
    context = archive.context(labels(), min_cell=20)
    error_audit(context, CATEGORIES)
    rows = [r for r in archive.read(context, "error_rates") if r["attribute"] == "gender" and r["threshold"]]
    for row in rows:
        assert row["is_suppressed"] == ("F" in (row["group"], row["other_group"]))
        assert (row["fmr"] is None) == (row["is_suppressed"] or "X" in (row["group"], row["other_group"]))


@pytest.mark.parametrize("kept", [["gender"], [], None])
def test_without_subjects_the_curve_stands_in(archive: Archive, kept: list[str] | None) -> None:
    given = None if kept is None else [r for r in labels() if r["attribute"] in kept]
    context = archive.context(given)
    facts = error_audit(context, CATEGORIES if kept else {})["errors"]
    assert (facts["estimator"], facts["rates"], facts["summary"]) == ("tail", 2, 0)
    rows = archive.read(context, "error_rates")
    assert [(r["group"], r["fmr"], r["similarity"], r["fnmr"]) for r in rows] == [
        (None, 1e-5, "corrected", None), ("F", 1e-4, "corrected", None),
    ]  # fmt: skip
    assert archive.read(context, "error_summary") == []


def test_an_attribute_with_very_many_groups_is_left_out_and_named(archive: Archive) -> None:
    many = {"gender": CATEGORIES["gender"], "age": ("old", "young", *(f"age {k}" for k in range(MOST_GROUPS)))}
    context = archive.context(labels())
    assert error_audit(context, many)["errors"]["attributes_left_out"] == ["age"]
    assert {r["attribute"] for r in archive.read(context, "error_rates")} == {None, "gender"}


def test_subjects_without_attributes_give_the_rates_of_all(archive: Archive) -> None:
    context = archive.context([r for r in labels() if r["attribute"] == "subject"])
    error_audit(context, {})
    rows = archive.read(context, "error_rates")
    assert [(r["attribute"], r["target_fmr"], r["n_faces"]) for r in rows] == [(None, TARGET, 113), (None, 1e-6, 113)]
    assert rows[0]["fnmr"] is not None


def test_subjects_that_show_no_face_give_rows_without_figures(archive: Archive) -> None:
    only = [r for r in labels() if r["image_id"] == "i005"]
    context = archive.context(only)
    error_audit(context, CATEGORIES)
    rows = archive.read(context, "error_rates")
    assert {(r["n_faces"], r["fmr"], r["threshold"]) for r in rows if r["group"] or not r["attribute"]} == {
        (0, None, None)
    }
