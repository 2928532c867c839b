"""Which faces enter a retraining set, on which side of the split, and with which weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from facelib.audit.settings import AuditSettings
from facelib.errors import ConfigError
from facelib.ids import digest
from facelib.training.weights import FaceWeights, face_weights
from schemas.contract import Column, Table, Type

SPLITS = ("train", "validation", "test")
UNKNOWN = "unknown"
"""Stands for a missing label in the training set only: its readers cannot take nulls."""


@dataclass(frozen=True)
class ExportSettings:
    """`weight_cap`: largest weight over the mean weight; `min_faces`: smallest identity.

    Shares are of identities, not of faces.
    """

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
            Column("weight", Type.FLOAT64, "sampling weight towards audit.plan_target, capped; mean 1", minimum=0),
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


@dataclass(frozen=True)
class Selection:
    """The exported faces without their chips, and how they were weighted.

    faces: face_id, identity, identity_index, split, weight, label_* (one row per face, by face_id).
    """

    faces: pa.Table
    weights: FaceWeights


def select_faces(
    faces: pa.Table,
    identity: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
    settings: ExportSettings,
    audit: AuditSettings,
) -> Selection:
    """Which faces are exported, and their weights over the whole set (`facelib.training.weights`).

    `faces` has face_id, image_id; `identity` maps face_id → identity, a face without one is left out;
    `labels` maps attribute → face_id → value. Identities with fewer than `min_faces` faces are left out.
    Raises ConfigError when nothing is left.
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
    values = {attribute: [known.get(f) for f in chosen] for attribute, known in labels.items()}
    weights = face_weights(values, [identity[f] for f in chosen], audit, settings.weight_cap)
    columns: dict[str, object] = {
        "face_id": chosen,
        "identity": [identity[f] for f in chosen],
        "identity_index": [classes[identity[f]] for f in chosen],
        "split": [side_of(identity[f], settings) for f in chosen],
        "weight": weights.given.weights,
    }
    for attribute, found in values.items():
        columns[f"label_{attribute}"] = [UNKNOWN if v is None else v for v in found]
    return Selection(pa.table(columns), weights)
