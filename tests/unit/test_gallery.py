"""Templates, search, thresholds and machines of an enrolled gallery, against brute force and scikit-learn."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from facelib.cli.identify_command import prepare
from facelib.cli.private_files import private_path, write_private
from facelib.clusters.candidates import CANDIDATES, candidate_rows
from facelib.clusters.gallery import Gallery, decide, non_mated_scores, search, templates, threshold_at_fpir
from facelib.clusters.gallery_file import GALLERY, References, load_gallery, read_gallery
from facelib.clusters.neighbours import normalise
from facelib.clusters.subject_heads import fit_heads, held_out_scores
from facelib.errors import ConfigError, DegenerateResultError, ObjectNotFoundError, StorageError
from facelib.spark.tables import to_parquet
from facelib.storage import StorageSettings

pytestmark = pytest.mark.unit


def people(n: int, images: int, dim: int = 16, spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Unit embeddings of `n` subjects with `images` images each, and their subjects, shuffled."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(n, dim)), images, axis=0)
    order = rng.permutation(n * images)
    subjects = [f"s{i // images:03d}" for i in order]
    return normalise((centres + spread * rng.normal(size=centres.shape))[order]), subjects


def gallery_of(vectors: npt.ArrayLike, names: list[str]) -> Gallery:
    rows = np.asarray(vectors, np.float32)
    return Gallery(tuple(names), rows, np.zeros(len(rows), np.float32))


def test_a_template_is_the_direction_of_the_weighted_sum() -> None:
    unit, subjects = people(7, 5)
    weights = np.random.default_rng(1).uniform(0, 1, len(unit))
    found = templates(unit, weights, subjects)
    assert found.subjects == tuple(sorted(set(subjects)))
    assert found.vectors.dtype == np.float32
    for name, vector in zip(found.subjects, found.vectors, strict=True):
        total = sum(w * u.astype(float) for w, u, s in zip(weights, unit, subjects, strict=True) if s == name)
        assert vector == pytest.approx(total / np.linalg.norm(total), abs=1e-6)


def test_a_template_worked_by_hand() -> None:
    """3·(1, 0) + 4·(0, 1) has the direction (0.6, 0.8); an image of weight 0 counts for nothing."""
    unit = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    found = templates(unit, [3, 4, 0], ["a", "a", "a"])
    assert found.vectors == pytest.approx(np.array([[0.6, 0.8]]))


def test_images_that_all_weigh_nothing_count_alike() -> None:
    unit = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    found = templates(unit, [0, 0, 1], ["b", "b", "a"])
    assert found.subjects == ("a", "b")
    assert found.vectors == pytest.approx(np.array([[0, 1], [np.sqrt(0.5), np.sqrt(0.5)]]))


@pytest.mark.parametrize("weight", [-0.1, np.nan, np.inf])
def test_a_weight_that_makes_no_sense_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="negative or not finite"):
        templates(np.eye(2, dtype=np.float32), [1, weight], ["a", "b"])


def test_a_gallery_without_a_face_is_degenerate() -> None:
    with pytest.raises(DegenerateResultError, match="no face"):
        templates(np.empty((0, 4), np.float32), [], [])


@pytest.mark.parametrize("tile", [1, 3, 1024])
@pytest.mark.parametrize("top", [1, 4, 100])
def test_search_finds_what_a_full_sort_finds(tile: int, top: int) -> None:
    gallery = templates(*_unweighted(people(40, 2)))._replace(offsets=np.linspace(-2, 2, 40, dtype=np.float32))
    probes = people(9, 3, seed=5)[0]
    index, score = search(probes, gallery, top, tile)
    every = probes.astype(float) @ gallery.vectors.T.astype(float) + gallery.offsets
    expected = np.argsort(-every, axis=1, kind="stable")[:, :top]
    assert index.tolist() == expected.tolist()
    assert score == pytest.approx(np.take_along_axis(every, expected, 1), abs=1e-5)


def _unweighted(faces: tuple[np.ndarray, list[str]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    return faces[0], np.ones(len(faces[0])), faces[1]


@pytest.mark.parametrize("tile", [1, 2, 7, 1024])
def test_equal_scores_are_ranked_by_subject(tile: int) -> None:
    """Forty subjects with one template between them, and a worse one in front."""
    same = normalise(np.array([[0.3, 0.4, 0.5]]))
    gallery = gallery_of(np.vstack([[[0, 0, 1]], np.repeat(same, 40, axis=0)]), [f"{i:02d}" for i in range(41)])
    index, score = search(same, gallery, 3, tile)
    assert index.tolist() == [[1, 2, 3]]
    assert score == pytest.approx(np.ones((1, 3)))


def test_no_probe_gives_no_candidate() -> None:
    index, score = search(np.empty((0, 2), np.float32), gallery_of(np.eye(2), ["a", "b"]), 1)
    assert index.shape == score.shape == (0, 1)


def test_a_decision_needs_more_than_the_threshold() -> None:
    assert decide([0.4, 0.5, 0.6], 0.5).tolist() == [False, False, True]


def test_non_mated_scores_are_those_of_brute_force() -> None:
    gallery = templates(*_unweighted(people(30, 3)))
    cosine = gallery.vectors.astype(float) @ gallery.vectors.T.astype(float)
    np.fill_diagonal(cosine, -2)
    assert non_mated_scores(gallery) == pytest.approx(cosine.max(axis=1), abs=1e-6)
    with pytest.raises(DegenerateResultError, match="one subject"):
        non_mated_scores(gallery_of([[1, 0]], ["a"]))


@pytest.mark.parametrize(("fpir", "threshold"), [(0.1, 0.8), (0.19, 0.8), (0.2, 0.7), (0.3, 0.6), (0.99, 0.0)])
def test_threshold_of_ten_searches_worked_by_hand(fpir: float, threshold: float) -> None:
    """Scores 0.0, 0.1 … 0.9: at 0.8 exactly one of ten exceeds it."""
    scores = np.random.default_rng(0).permutation(np.arange(10) / 10)
    assert threshold_at_fpir(scores, fpir) == pytest.approx(threshold)
    assert np.mean(scores > threshold_at_fpir(scores, fpir)) <= fpir


def test_equal_scores_never_exceed_their_own_threshold() -> None:
    assert threshold_at_fpir([0.5, 0.5, 0.5, 0.1], 0.25) == 0.5


@pytest.mark.parametrize(
    ("fpir", "message"), [(0.0, "above 0"), (1.0, "below 1"), (np.nan, "nan"), (0.09, "less than")]
)
def test_a_rate_that_cannot_be_had_is_refused(fpir: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        threshold_at_fpir(np.arange(10) / 10, fpir)


def test_machines_are_those_of_one_against_the_rest() -> None:
    multiclass, svm = pytest.importorskip("sklearn.multiclass"), pytest.importorskip("sklearn.svm")
    unit, subjects = people(6, 4)
    machine = svm.LinearSVC(C=10.0, class_weight="balanced", random_state=0, max_iter=10_000)
    oracle = multiclass.OneVsRestClassifier(machine).fit(unit, subjects)
    heads = fit_heads(unit, subjects)
    probes = people(5, 2, seed=3)[0]
    index, score = search(probes, heads, 6)
    decisions = np.take_along_axis(oracle.decision_function(probes), index, 1)
    assert heads.subjects == tuple(oracle.classes_)
    assert score == pytest.approx(decisions, abs=1e-3)
    assert [heads.subjects[i] for i in index[:, 0]] == oracle.predict(probes).tolist()


def test_two_subjects_get_a_machine_each() -> None:
    pytest.importorskip("sklearn")
    unit, subjects = people(2, 6, spread=0.1)
    heads = fit_heads(unit, subjects)
    assert [heads.subjects[i] for i in search(unit, heads, 1)[0][:, 0]] == subjects
    with pytest.raises(DegenerateResultError, match="has one"):
        fit_heads(unit[:1], subjects[:1])


def test_a_held_out_subject_is_scored_by_machines_that_have_not_seen_it() -> None:
    pytest.importorskip("sklearn")
    unit, subjects = people(4, 3)
    found = held_out_scores(unit, np.ones(len(unit)), subjects)
    every = templates(unit, np.ones(len(unit)), subjects)
    for i, name in enumerate(every.subjects):
        rows = [k for k, s in enumerate(subjects) if s != name]
        heads = fit_heads(unit[rows], [subjects[k] for k in rows])
        assert found[i] == pytest.approx(search(every.vectors[i : i + 1], heads, 1)[1][0, 0], abs=1e-4)
    with pytest.raises(DegenerateResultError, match="2 subjects"):
        held_out_scores(unit[:2], [1, 1], ["a", "b"])


def references(n: int, images: int = 2) -> References:
    unit, subjects = people(n, images, spread=0.05)
    return References(unit, np.ones(len(unit)), subjects, "m")


def asked(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"method": "nearest", "threshold": None, "fpir": None} | given)


def test_where_the_threshold_comes_from() -> None:
    large, small = references(100), references(5)
    given = prepare(large, asked(threshold=0.5), 0.93)
    assert (given[1], given[2]) == (0.5, "as given")
    gallery, threshold, source = prepare(large, asked(), 0.93)
    assert threshold == np.sort(non_mated_scores(gallery))[-2]
    assert "FPIR 0.01" in source
    assert "100 subjects" in source
    assert prepare(small, asked(), 0.93)[1:] == (0.93, "default")
    gallery, threshold, source = prepare(small, asked(), -0.9)
    assert threshold == pytest.approx(float(non_mated_scores(gallery).max()))
    assert source == "highest between two enrolled subjects"
    assert prepare(references(1), asked(), 0.93)[1:] == (0.93, "default")
    with pytest.raises(ConfigError, match="enrol more subjects"):
        prepare(small, asked(fpir=0.01), 0.93)


def test_machines_without_a_threshold_decide_at_zero_or_above_all_left_out() -> None:
    pytest.importorskip("sklearn")
    given = references(6)
    highest = float(held_out_scores(given.unit, given.quality, given.subjects).max())
    assert prepare(given, asked(method="svm"), 0.93)[1] == pytest.approx(max(0.0, highest))


def probe_rows() -> pa.Table:
    return pa.table(
        {
            "uri": ["b", "a", "a"],
            "status": ["rejected", "ok", "ok"],
            "reason": ["empty", None, None],
            "face_index": pa.array([None, 0, 1], pa.int64()),
            "quality_score": pa.array([None, 0.5, 0.25], pa.float32()),
            "embedding": pa.array([None, [2.0, 0.0], [3.0, 4.0]], pa.list_(pa.float32())),
        }
    )


def test_candidates_of_two_faces_and_a_rejected_image() -> None:
    rows = candidate_rows(probe_rows(), gallery_of([[1, 0], [0, 1]], ["x", "y"]), 5, 0.9).to_pylist()
    told = [(r["uri"], r["face_index"], r["rank"], r["subject"], r["decision"], r["reason"]) for r in rows]
    assert told == [
        ("a", 0, 1, "x", "identified", None),
        ("a", 0, 2, "y", None, None),
        ("a", 1, 1, "y", "unknown", None),
        ("a", 1, 2, "x", None, None),
        ("b", None, None, None, None, "empty"),
    ]
    assert [r["similarity"] for r in rows] == [pytest.approx(v) for v in (1, 0, 0.8, 0.6)] + [None]
    assert {r["threshold"] for r in rows} == {0.9}


def test_candidates_of_images_without_any_face() -> None:
    rows = candidate_rows(probe_rows().slice(0, 1), gallery_of([[1, 0]], ["x"]), 1, 0.9)
    assert rows.column_names == CANDIDATES.names
    assert rows.column("uri").to_pylist() == ["b"]


def gallery_bytes(**changes: list[object]) -> bytes:
    columns = {
        "uri": ["a", "b", "c"],
        "subject": ["x", "y", "y"],
        "status": ["ok", "ok", "rejected"],
        "reason": [None, None, "no_face"],
        "n_faces": [1, 2, 0],
        "quality_score": [0.5, 1.0, None],
        "model_id": ["m", "m", "m"],
        "embedding": [[3.0, 4.0], [0.0, 2.0], None],
    }
    return to_parquet(pa.table(columns | changes), GALLERY)


def test_a_gallery_file_comes_back_without_the_images_that_have_no_face() -> None:
    found = read_gallery(gallery_bytes(), "g.parquet")
    assert found.unit == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))
    assert (found.quality.tolist(), found.subjects, found.model_id) == ([0.5, 1.0], ["x", "y"], "m")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no parquet", "not a gallery"),
        (to_parquet(pa.table({n: pa.nulls(0, pa.string()) for n in GALLERY.names[:4]} | {
            "n_faces": pa.nulls(0, pa.int64()), "quality_score": pa.nulls(0, pa.float32()),
            "model_id": pa.nulls(0, pa.string()), "embedding": pa.nulls(0, pa.list_(pa.float32()))}), GALLERY),
         "holds no face"),
        (gallery_bytes(model_id=["m", "n", "m"]), "several models"),
        (gallery_bytes(embedding=[[1.0], [0.0, 2.0], None]), "several models"),
        (gallery_bytes(embedding=[[0.0, 0.0], [0.0, 2.0], None]), "1 faces whose embedding is zero or not finite"),
        (gallery_bytes(embedding=[[np.nan, 0.0], [0.0, np.inf], None]), "2 faces whose embedding is zero or not"),
        (gallery_bytes(quality_score=[None, 0.5, None]), "1 faces .* or whose quality score is not a number"),
    ],
    ids=["garbage", "empty", "models", "lengths", "zero", "not finite", "no quality"],
)  # fmt: skip
def test_a_file_that_is_no_good_gallery_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_gallery(data, "--gallery g.parquet")
    assert str(raised.value).startswith("--gallery g.parquet ")


def test_the_gallery_of_an_option_is_there_and_of_the_wanted_model(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    path.write_bytes(gallery_bytes())
    found = load_gallery("--gallery", str(path), "m", StorageSettings())
    np.testing.assert_array_equal(found.unit, read_gallery(gallery_bytes(), "g").unit)
    with pytest.raises(ConfigError, match=r"--cohort .*g\.parquet was enrolled with m, .* ask for other: enrol again"):
        load_gallery("--cohort", str(path), "other", StorageSettings())
    with pytest.raises(ObjectNotFoundError, match=r"--cohort .*gone\.parquet does not exist"):
        load_gallery("--cohort", str(tmp_path / "gone.parquet"), "m", StorageSettings())


def test_a_private_file_is_for_its_owner_alone_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    with pytest.raises(StorageError, match="cannot be written"):
        write_private(tmp_path / "gone" / "f", b"new")


@pytest.mark.parametrize("mark", ["CURRENT", "store/extracted/x", "runs/r/run.json"])
def test_a_place_inside_the_output_of_a_run_is_refused(tmp_path: Path, mark: str) -> None:
    output = tmp_path / "out"
    (output / mark).parent.mkdir(parents=True)
    (output / mark).write_text("")
    (output / "runs" / "r").mkdir(parents=True, exist_ok=True)
    (tmp_path / "link").symlink_to(output)
    for given in (output / "runs" / "r" / "g.parquet", tmp_path / "link" / "runs" / "r" / "g.parquet"):
        with pytest.raises(ConfigError, match="inside the output of a run"):
            private_path(str(given), "--output")
    assert private_path(str(tmp_path / "g.parquet"), "--output") == tmp_path.resolve() / "g.parquet"
