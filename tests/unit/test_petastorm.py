"""A retraining set written as Parquet, read back whole by the torch reader."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.errors import ConfigError
from facelib.faces.chip import decode_chip, encode_chip
from facelib.spark.tables import to_parquet
from facelib.training.export import training_table

pytestmark = pytest.mark.unit

ROWS = 300
CONTRACT = training_table(("hair",))
HAIR = ("black", "red", "unknown")


def chip_of(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return encode_chip(np.kron(coarse, np.ones((30, 30, 1), np.uint8)))


@dataclass(frozen=True)
class Written:
    """A folder of one split and the rows that were written, by face_id."""

    folder: Path
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Three files, the second one in several row groups."""
    folder = tmp_path_factory.mktemp("training") / "train set"
    folder.mkdir()
    rng = np.random.default_rng(16)
    table = pa.table(
        {
            "face_id": [f"face{i}-0" for i in rng.permutation(ROWS)],
            "identity": [f"c{i % 17}" for i in range(ROWS)],
            "identity_index": [i % 17 for i in range(ROWS)],
            "weight": rng.uniform(0.1, 10, ROWS),
            "label_hair": [HAIR[k] for k in rng.integers(0, 3, ROWS)],
            "chip": [chip_of(i) for i in range(ROWS)],
        }
    )
    for k, (start, length) in enumerate([(0, 90), (90, 150), (240, 60)]):
        path = folder / f"part-{k:05d}.parquet"
        path.write_bytes(to_parquet(table.slice(start, length), CONTRACT))
        if k == 1:
            pq.write_table(pq.read_table(path), path, row_group_size=40)
    assert sum(pq.ParquetFile(p).num_row_groups for p in folder.glob("*.parquet")) == 6
    return Written(folder, {r["face_id"]: r for r in table.to_pylist()})


def read(folder: Path, **options: Any) -> Any:
    pytest.importorskip("petastorm", reason="petastorm is not installed: pip install facelib[train]")
    from facelib.training.petastorm_reader import read_batches

    return read_batches(folder, **options)


def test_every_face_comes_back_once_with_all_its_columns(written: Written) -> None:
    seen: list[str] = []
    for batch in read(written.folder, batch_size=32):
        n = len(batch.face_ids)
        assert 1 <= n <= 32
        assert tuple(batch.chips.shape) == (n, 3, 150, 150)
        assert [str(t.dtype) for t in (batch.chips, batch.identities, batch.weights)] == [
            "torch.uint8",
            "torch.int64",
            "torch.float32",
        ]
        assert list(batch.labels) == ["hair"]
        for k, face in enumerate(batch.face_ids):
            row = written.rows[face]
            assert int(batch.identities[k]) == row["identity_index"]
            assert float(batch.weights[k]) == np.float32(row["weight"])
            assert batch.labels["hair"][k] == row["label_hair"]
            chip: npt.NDArray[np.uint8] = batch.chips[k].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(chip, decode_chip(row["chip"]))
        seen += batch.face_ids
    assert len(seen) == ROWS
    assert set(seen) == set(written.rows)


def test_a_seed_changes_the_order_and_loses_nothing(written: Written) -> None:
    orders = [[f for b in read(written.folder, seed=seed) for f in b.face_ids] for seed in (1, 1, 2, None)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[3]
    assert all(sorted(order) == sorted(written.rows) for order in orders)


def test_warnings_of_the_caller_are_not_swallowed(written: Written) -> None:
    batches = read(written.folder)
    next(batches)
    with pytest.warns(FutureWarning, match="mine"):
        warnings.warn("mine", FutureWarning, stacklevel=1)
    batches.close()


def test_reading_does_not_warn(written: Written) -> None:
    """petastorm announces its legacy pyarrow calls by the dozen; no user can do anything about them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        assert len(list(read(written.folder, batch_size=100))) == 6
    assert [str(w.message) for w in caught if issubclass(w.category, FutureWarning | UserWarning)] == []


def test_tensors_may_be_written_to(written: Written) -> None:
    batch = next(read(written.folder))
    for tensor in (batch.chips, batch.identities, batch.weights):
        assert tensor.numpy().flags.writeable


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no Parquet file: give the folder of one split"):
        next(read(tmp_path))


def test_a_missing_petastorm_is_named_with_its_extra(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    from facelib.training.petastorm_reader import read_batches

    monkeypatch.setitem(sys.modules, "petastorm", None)
    with pytest.raises(ConfigError, match=r"petastorm is missing: pip install .facelib\[train\]"):
        next(read_batches(written.folder))
