"""`facelib balance diff`: two runs counted by hand here, what is said of them, and what is withheld."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract_rows import rows_of, write_run
from scipy import stats

from facelib.cli.arguments import build_parser
from facelib.cli.main import main
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place
from facelib.storage import StorageSettings, open_store
from schemas.audit_tables import BALANCE, LOSSES
from schemas.tables import CLUSTERS, FACES, IMAGES, LABELS

pytestmark = pytest.mark.unit

STAGES = ("decode", "detect", "quality", "cluster")
GROUPS: dict[str, list[str | None]] = {"gender": ["F", "M", None], "age": ["old", "young", None]}


@dataclass(frozen=True)
class Image:
    """An image with one main face, or none; passed: stages 0–4."""

    gender: str | None = "F"
    age: str | None = "old"
    person: str | None = None
    cluster: str | None = None
    passed: int = 4
    second_face: bool = False


Run = Mapping[str, Image]


@dataclass(frozen=True)
class Options:
    """min_cell: smaller counts are withheld, as primary cells only. without: attributes that the run does not have."""

    min_cell: int = 0
    subjects: bool = False
    without: tuple[str, ...] = ()
    wrong: int = 0
    drop_columns: tuple[str, ...] = field(default=())


def values(run: Run, unit: str) -> Iterator[tuple[str | None, str | None]]:
    """(gender, age) of each unit, counted as METRICS.md says."""
    if unit == "image":
        yield from ((i.gender, i.age) for i in run.values())
    if unit == "face":
        for image in run.values():
            if image.passed >= 2:
                yield image.gender, image.age
            if image.second_face:
                yield None, None
    if unit in ("cluster", "subject"):
        members: dict[str, list[Image]] = {}
        for image in run.values():
            name = image.person if unit == "subject" else image.cluster if image.passed == 4 else None
            if name is not None:
                members.setdefault(name, []).append(image)
        for images in members.values():
            yield most(i.gender for i in images), most(i.age for i in images)


def most(found: Iterator[str | None]) -> str | None:
    best = Counter(v for v in found if v is not None).most_common(2)
    return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else None


def tables(run: Run, options: Options) -> dict[Any, list[pa.Table]]:
    attributes = [a for a in GROUPS if a not in options.without]
    images, faces, clusters, labels = [], [], [], []
    for name, image in run.items():
        rejected = image.passed < 2
        reason = ("truncated", "no_face")[image.passed] if rejected else None
        n_faces = None if image.passed == 0 else 0 if image.passed == 1 else 1 + image.second_face
        status = "rejected" if rejected else "ok"
        images.append({"image_id": name, "status": status, "reason": reason, "n_faces": n_faces})
        for face in range(n_faces or 0):
            clustered = image.cluster if image.passed == 4 and face == 0 else None
            key = {"face_id": f"{name}-{face}", "image_id": name}
            faces.append({**key, "is_usable": image.passed >= 3 and face == 0})
            role = "core" if clustered else "noise"
            clusters.append({**key, "cluster_id": clustered, "role": role})
        labels += [{"image_id": name, "attribute": a, "value": getattr(image, a)} for a in attributes]
        if options.subjects:
            labels.append({"image_id": name, "attribute": "subject", "value": image.person})
    balance = []
    for unit in ("image", "face", "cluster", *(["subject"] if options.subjects else [])):
        units = list(values(run, unit))
        sets = [[a] for a in attributes] + ([attributes] if len(attributes) == 2 else [])
        for names in sets:
            at = [list(GROUPS).index(a) for a in names]
            counts = Counter(tuple(u[i] for i in at) for u in units)
            for groups in product(*(GROUPS[a] for a in names)):
                n = counts[groups] + options.wrong
                hidden = 0 < n < options.min_cell
                shown = {"n": None if hidden else n, "share": None if hidden else n / max(1, len(units))}
                key = {"unit": unit, "attributes": names, "groups": list(groups), "estimator": "count"}
                balance.append({**key, **shown, "is_suppressed": hidden})
    losses = []
    for stage, name in enumerate(STAGES):
        for attribute in (None, *attributes):
            for group in GROUPS[attribute] if attribute else [None]:
                there = [
                    i for i in run.values() if i.passed >= stage and (not attribute or getattr(i, attribute) == group)
                ]
                out = sum(i.passed > stage for i in there)
                hidden = attribute is not None and 0 < len(there) < options.min_cell
                shown = {"n_in": None, "n_out": None} if hidden else {"n_in": len(there), "n_out": out}
                losses.append({"stage": name, "attribute": attribute, "group": group, **shown, "is_suppressed": hidden})
    made = {IMAGES: images, FACES: faces, CLUSTERS: clusters, LABELS: labels, BALANCE: balance, LOSSES: losses}
    return {table: [rows_of(table, rows)] for table, rows in made.items()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(open_store(str(tmp_path / "out")).root, StorageSettings())


def write(place: Place, name: str, run: Run, options: Options | None = None) -> None:
    record = RunRecord.begin("in", {}, {}, "")
    record.run_id = name
    write_run(place, record, tables(run, options or Options()))


def diff(place: Place, capsys: pytest.CaptureFixture[str], *options: str, runs: tuple[str, str] = ("A", "B")) -> str:
    assert main(["balance", "diff", *runs, "--output", place.uri, *options, "--log", os.devnull]) == 0
    return capsys.readouterr().out


def as_json(place: Place, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(diff(place, capsys, "--format", "json"))


def cell(found: dict[str, Any], unit: str, **groups: str | None) -> dict[str, Any]:
    cells = found["attributes" if len(groups) == 1 else "combinations"]
    key = (unit, list(groups), list(groups.values()))
    return next(c for c in cells if (c["unit"], c["attributes"], c["groups"]) == key)


def loss(found: dict[str, Any], stage: str, **groups: str | None) -> dict[str, Any]:
    key = (stage, list(groups), list(groups.values()))
    return next(c for c in found["losses"] if (c["stage"], c["attributes"], c["groups"]) == key)


def people(n: int, start: int = 0, **of_all: Any) -> dict[str, Image]:
    """n images, each of a person of their own."""
    return {f"i{k:04d}": Image(person=f"p{k}", cluster=f"c{k}", **of_all) for k in range(start, start + n)}


BEFORE = people(300) | people(300, 300, gender="M")
GROWN = BEFORE | people(90, 600) | people(10, 690, gender="M")
"""A tenth of the added images, but half of the earlier ones, show men."""


def test_growth_is_tested_by_what_was_added(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    write(place, "B", GROWN)
    found = as_json(place, capsys)
    assert found["units"]["image"] == {"before": 600, "after": 700, "kept": 600, "added": 100, "removed": 0}
    women = cell(found, "image", gender="F")
    assert (women["n_before"], women["of_before"], women["n_after"], women["of_after"]) == (300, 600, 390, 700)
    table = [[90, 10], [300, 300]]
    one_sided = [stats.fisher_exact(table, alternative=side)[1] for side in ("greater", "less")]
    assert women["p_value"] == pytest.approx(2 * min(one_sided), rel=2e-3)
    assert women["difference"] == pytest.approx(390 / 700 - 0.5)
    assert women["ci_low"] < women["difference"] < women["ci_high"]
    assert women["is_change"]
    for unit in ("face", "cluster"):
        assert cell(found, unit, gender="F")["p_value"] == pytest.approx(women["p_value"], rel=1e-9)
    assert not cell(found, "image", age="old")["is_change"]
    tested = [c for c in found["attributes"] if c["p_value"] is not None]
    smallest = min(c["p_value"] for c in tested)
    assert min(c["p_adjusted"] for c in tested) == pytest.approx(len(tested) * smallest)


def test_every_cell_has_the_counts_of_both_runs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With two faces on an image, noise, losses, missing labels, ties and clusters that were merged and renamed."""
    before = {
        f"i{k}": Image(
            gender=("F", "M", None)[k % 3],
            age=("old", "young", None)[k % 7 % 3],
            person=f"p{k % 11}",
            cluster=None if k % 9 == 0 else f"c{k % 13}",
            passed=4 if k % 9 else k % 4,
            second_face=k % 9 != 0 and k % 5 == 0,
        )
        for k in range(120)
    }
    after = {name: replace(i, cluster=i.cluster and f"d{int(i.cluster[1:]) // 2}") for name, i in before.items()}
    after = {name: replace(i, gender="M") if name.endswith("7") else i for name, i in after.items() if name[-1] != "4"}
    after |= {f"j{k}": Image(gender="FM"[k % 2], person=f"p{k % 20}", cluster=f"d{k % 9}") for k in range(50)}
    write(place, "A", before, Options(subjects=True))
    write(place, "B", after, Options(subjects=True))
    found = as_json(place, capsys)
    assert not any(c["note"] for family in ("attributes", "combinations", "losses") for c in found[family])
    for unit in ("image", "face", "cluster", "subject"):
        for run, when in ((before, "before"), (after, "after")):
            units = list(values(run, unit))
            assert found["units"][unit][when] == len(units)
            for gender, age in product(*GROUPS.values()):
                assert cell(found, unit, gender=gender, age=age)[f"n_{when}"] == units.count((gender, age))
    assert found["units"]["subject"]["kept"] == 11
    assert found["units"]["cluster"]["kept"] == 7
    decode = loss(found, "decode")
    lost = sum(i.passed == 0 for i in before.values())
    assert (decode["n_before"], decode["of_before"]) == (lost, 120)


def test_a_loss_that_grew_is_found(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    added = people(60, 600) | people(60, 660, gender="M", passed=1)
    write(place, "A", BEFORE)
    write(place, "B", BEFORE | added)
    found = as_json(place, capsys)
    men = loss(found, "detect", gender="M")
    assert (men["n_before"], men["of_before"], men["n_after"], men["of_after"]) == (0, 300, 60, 360)
    assert men["is_change"]
    assert men["p_value"] < 1e-20
    assert not loss(found, "detect", gender="F")["is_change"]
    assert not loss(found, "decode")["is_change"]
    assert loss(found, "cluster", gender="M")["n_after"] == 0


def test_text_for_a_reader(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    write(place, "B", GROWN)
    lines = diff(place, capsys).splitlines()
    assert lines[:4] == [
        "A → B",
        "images    600 → 700: 600 in both, 0 only before, 100 only after",
        "faces     600 → 700: 600 in both, 0 only before, 100 only after",
        "clusters  600 → 700: 600 in both, 0 only before, 100 only after",
    ]
    assert lines[4] == "shares: 6 of 6 changed by more than chance (Holm's correction, 5 %)"
    assert lines[5].startswith("  gender = F: 50.0 % → 55.7 % of images, +5.7 points (+")
    assert lines[5].endswith("n 300 of 600 → 390 of 700, p < 1e-12; faces and clusters too")
    assert lines[6].startswith("  gender = M: 50.0 % → 44.3 % of images, −5.7 points (−")
    assert lines[-1] == "losses: nothing to test"
    assert sum(line.startswith("shares of combinations: 6 of 6") for line in lines) == 1


def test_text_says_when_it_does_not_list_all(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    write(place, "B", GROWN)
    lines = diff(place, capsys, "--limit", "1").splitlines()
    assert "shares: 6 of 6 changed by more than chance (Holm's correction, 5 %), largest 1 of 2 groups" in lines
    assert sum(line.startswith("  ") for line in lines) == 2
    assert not any(line.startswith("  ") for line in diff(place, capsys, "--limit", "0").splitlines())


def test_nothing_changed_is_one_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    renamed = {name: replace(image, cluster=f"new-{image.cluster}") for name, image in BEFORE.items()}
    write(place, "B", renamed)
    assert diff(place, capsys) == ("A → B: nothing changed, 600 images, 600 faces, 600 clusters in 73 cells\n")
    assert as_json(place, capsys)["is_empty"]


def test_a_change_within_chance_is_not_marked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    write(place, "B", BEFORE | people(55, 600) | people(45, 655, gender="M"))
    out = diff(place, capsys)
    assert (
        "shares: none of 6 changed by more than chance; largest: gender = F: 50.0 % → 50.7 % of images, +0.7 points"
        in out
    )
    assert "shares: 1 of" not in out


def test_many_images_of_one_new_person_are_within_chance(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    one = {f"x{k}": Image(person="new", cluster="new") for k in range(200)}
    write(place, "A", BEFORE)
    write(place, "B", BEFORE | one)
    found = as_json(place, capsys)
    assert not cell(found, "image", gender="F")["is_change"]
    assert cell(found, "image", gender="F")["difference"] == pytest.approx(0.125)


def test_what_one_run_withholds_stays_withheld(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    few = people(3, 800, gender=None)
    write(place, "A", BEFORE | few, Options(min_cell=5))
    write(place, "B", GROWN | few | people(40, 900, gender=None))
    found = as_json(place, capsys)
    hidden = cell(found, "image", gender=None)
    assert hidden["is_withheld"]
    assert {v for k, v in hidden.items() if k not in ("unit", "attributes", "groups", "is_withheld", "is_change")} == {
        None
    }
    assert loss(found, "decode", gender=None)["is_withheld"]
    assert not cell(found, "image", gender="F")["is_withheld"]
    out = diff(place, capsys)
    assert "no label" not in out
    assert "withheld  " in out
    for name in ("A", "B"):
        assert not cell(found, "image", gender="F")["note"], name


def test_attributes_of_one_run_only_are_named(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE, Options(without=("age",)))
    write(place, "B", GROWN)
    found = as_json(place, capsys)
    assert (found["attributes_only_before"], found["attributes_only_after"]) == ([], ["age"])
    assert found["combinations"] == []
    assert "not compared: age, only after" in diff(place, capsys)


def test_a_category_that_one_run_did_not_see_had_none(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE)
    GROUPS["gender"].insert(2, "X")
    try:
        write(place, "B", BEFORE | people(30, 600, gender="X"))
    finally:
        GROUPS["gender"].remove("X")
    found = cell(as_json(place, capsys), "image", gender="X")
    assert (found["n_before"], found["n_after"], found["is_change"]) == (0, 30, True)


def test_tables_that_do_not_fit_their_units_are_not_tested(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "A", BEFORE, Options(wrong=1))
    write(place, "B", GROWN)
    found = as_json(place, capsys)
    assert all(c["p_value"] is None and c["note"] for c in found["attributes"])
    assert "untested  " in diff(place, capsys)


def test_runs_without_labels(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for name, run in (("A", BEFORE), ("B", GROWN)):
        write(place, name, run, Options(without=("gender", "age")))
    out = diff(place, capsys)
    assert "images    600 → 700" in out
    assert "losses: nothing to test" in out


@pytest.mark.parametrize(("runs", "message"), [(("A", "Z"), "there is no run Z"), (("C", "A"), "no table balance yet")])
def test_a_run_that_cannot_be_compared_is_named(
    place: Place, runs: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, "A", BEFORE)
    record = RunRecord.begin("in", {}, {}, "")
    record.run_id = "C"
    record.save(open_store(place.uri))
    assert main(["balance", "diff", *runs, "--output", place.uri, "--log", os.devnull]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err


def test_balance_is_a_stage_and_has_an_action() -> None:
    parse = build_parser().parse_args
    stage = parse(["balance", "--output", "o", "--run", "diff"])
    assert (stage.command, stage.action, stage.run) == ("balance", None, "diff")
    action = parse(["balance", "diff", "a", "b", "--output", "o"])
    assert (action.command, action.action, action.limit, action.format) == ("balance", "diff", 10, "text")
    assert parse(["balance", "diff", "--limit", "0", "--output", "o", "a", "b"]).run_b == "b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["balance", "diff", "a", "--output", "o"], "required: RUN_B; see facelib balance diff --help"),
        (["balance", "diff", "a", "b"], "required: --output; see facelib balance diff --help"),
        (["balance", "diff", "a", "b", "--output", "o", "--format", "csv"], "--format: invalid choice: 'csv'"),
        (["balance", "differ", "a", "b", "--output", "o"], "unrecognized arguments: differ a b"),
        (["balance"], "required: --output; see facelib balance --help"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
