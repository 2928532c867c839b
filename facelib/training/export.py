"""Which faces enter a retraining set, on which side of the split, and with which weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.errors import ConfigError
from facelib.ids import digest
from schemas.contract import Column, Table, Type

SPLITS = ("train", "validation", "test")
UNKNOWN = "unknown"
"""Stands for a missing label in the training set only: its readers cannot take nulls."""


@dataclass(frozen=True)
class ExportSettings:
    """`weight_cap`: largest weight; `min_faces`: smallest identity; shares are of identities, not of faces."""

    weight_cap: float = 10.0
    min_faces: int = 1
    validation_share: float = 0.1
    test_share: float = 0.1

    def __post_init__(self) -> None:
        if self.weight_cap < 1 or self.min_faces < 1:
            raise ConfigError("export.weight_cap and export.min_faces must be at least 1")
        if min(self.validation_share, self.test_share) < 0 or self.validation_share + self.test_share >= 1:
            raise ConfigError("export.validation_share and export.test_share must be ≥ 0 and leave a share to train on")


def training_table(attributes: Sequence[str]) -> Table:
    """Contract of a retraining set with these attributes: plain types, no nulls."""
    return Table(
        "training", 1, "exported face", ("face_id",),
        (
            Column("face_id", Type.STRING, "the face"),
            Column("identity", Type.STRING, "cluster_id, or pseudonym of the subject"),
            Column("identity_index", Type.INT64, "class number, 0 … identities − 1 over all splits", minimum=0),
            Column("weight", Type.FLOAT64, "sampling weight: inverse share of the face's cell, capped", minimum=0),
            *(Column(f"label_{a}", Type.STRING, f"{a}, or {UNKNOWN}") for a in attributes),
            Column("chip", Type.BINARY, "JPEG of the aligned face, 150 × 150 px"),
        ),
        is_store=True,
    )  # fmt: skip


def side_of(identity: str, settings: ExportSettings) -> str:
    """The split of an identity: decided by its digest alone, so it never moves between exports."""
    u = int(digest("split", identity, length=16), 16) / 16**16
    if u < settings.test_share:
        return "test"
    return "validation" if u < settings.test_share + settings.validation_share else "train"


def cell_weights(cells: Sequence[tuple[str | None, ...]], cap: float) -> npt.NDArray[np.float64]:
    """Weight of each face by its cell: min(cap, (1/C) / share), C cells present, shares among known faces.

    Inverse-probability weighting towards equal cells (Horvitz & Thompson 1952), truncated at `cap`. A
    face with a missing label weighs 1.
    """
    known = Counter(c for c in cells if None not in c)
    total = sum(known.values())
    by_cell = {c: min(cap, total / (len(known) * n)) for c, n in known.items()}
    return np.array([by_cell.get(c, 1.0) for c in cells], dtype=np.float64)


def effective_sample_size(weights: npt.NDArray[np.float64]) -> float:
    """(Σw)² / Σw² (Kish 1965); 0 for no faces."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def select_faces(
    faces: pa.Table,
    identity: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
    settings: ExportSettings,
) -> pa.Table:
    """The exported faces without their chips: face_id, identity, identity_index, split, weight, label_*.

    `faces` has face_id, image_id; `identity` maps face_id → identity, a face without one is left out;
    `labels` maps attribute → face_id → value. Identities with fewer than `min_faces` faces are left out.
    Weights are computed over the whole set. Raises ConfigError when nothing is left.
    """
    sizes = Counter(identity[f] for f in faces.column("face_id").to_pylist() if f in identity)
    chosen = sorted(
        f for f in faces.column("face_id").to_pylist() if f in identity and sizes[identity[f]] >= settings.min_faces
    )
    if not chosen:
        raise ConfigError(
            f"no face has an identity with at least {settings.min_faces} faces: lower export.min_faces, "
            "or split by cluster instead of subject"
        )
    classes = {name: i for i, name in enumerate(sorted({identity[f] for f in chosen}))}
    cells = [tuple(known.get(f) for known in labels.values()) for f in chosen]
    weights = cell_weights(cells, settings.weight_cap) if labels else np.ones(len(chosen))
    columns: dict[str, object] = {
        "face_id": chosen,
        "identity": [identity[f] for f in chosen],
        "identity_index": [classes[identity[f]] for f in chosen],
        "split": [side_of(identity[f], settings) for f in chosen],
        "weight": weights,
    }
    for attribute, known in labels.items():
        columns[f"label_{attribute}"] = [known.get(f, UNKNOWN) for f in chosen]
    return pa.table(columns)
