"""The weight of every face of a retraining set, towards the target that the audit plans for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from facelib.audit.sampling_margins import fit_margins
from facelib.audit.sampling_weights import Int64, SamplingWeights, sampling_weights
from facelib.audit.settings import AuditSettings
from facelib.errors import ConfigError
from facelib.reports.declared import category_codes, cut, declared_categories
from facelib.reports.plan_goals import reference_shares

MOST_CELLS = 100_000
"""Combinations of categories over which reference shares are fitted."""
Labels = Mapping[str, Sequence[str | None]]
Categories = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class FaceWeights:
    """Weights of the faces, and in words what keeps draws from their target, or None."""

    given: SamplingWeights
    shortfall: str | None


def face_weights(labels: Labels, identities: Sequence[str], audit: AuditSettings, cap: float) -> FaceWeights:
    """Weight of every face towards audit.plan_target, at most `cap` times the mean weight of the labelled faces.

    labels: attribute → value of each face; one that is None, or outside the declared categories, leaves the face
    without a cell, and it weighs 1. Without attributes all faces are one cell. identities: of each face. Targets: equal
    cells (`cells`); equal cells and, in each, equal identities (`identities`); the audit's reference shares, of several
    attributes the shares of combinations nearest to those of the faces that have all margins (`reference`).
    See `facelib.audit.sampling_weights` and `facelib.audit.sampling_margins`.

    Raises ConfigError when an attribute has no reference shares although they are the target.
    """
    categories, codes = _codes(labels, audit, len(identities))
    shape = tuple(len(c) for c in categories.values())
    is_known = (codes < np.array(shape, np.int64)).all(axis=1)
    joint = np.full(len(identities), -1, np.int64)
    joint[is_known] = _joint(codes[is_known], shape)
    if audit.plan_target == "reference" and labels:
        return _towards_reference(joint, categories, audit, cap)
    present, joint[is_known] = np.unique(joint[is_known], return_inverse=True)
    cells = max(1, present.size)
    people = np.unique(np.array(identities, np.str_), return_inverse=True)[1] if len(identities) else joint
    of_each = people if audit.plan_target == "identities" else None
    given = sampling_weights(joint, np.full(cells, 1 / cells), of_each, cap)
    declared = int(np.prod(shape, dtype=object))
    return FaceWeights(given, _shortfall(declared - present.size if present.size else 0, declared, given))


def _codes(labels: Labels, audit: AuditSettings, faces: int) -> tuple[Categories, Int64]:
    """Categories of every attribute, and the position of each face's value among them, (faces, attributes)."""
    edges = {a: e for a, e in audit.edges.items() if a in labels}
    values = cut(pa.table({a: pa.array(column, pa.string()) for a, column in labels.items()}), edges)
    declared = {a: c for a, c in audit.categories.items() if a in labels}
    if audit.plan_target == "reference":
        named = {a: tuple(shares) for a, shares in audit.reference.items() if a in labels and a not in edges}
        declared = named | declared
    categories = declared_categories(values, declared, edges)
    columns = [category_codes(values.column(a), categories[a]) for a in labels]
    codes = np.stack(columns, axis=1) if columns else np.zeros((faces, 0), np.int64)
    return {a: categories[a] for a in labels}, codes


def _joint(codes: Int64, shape: tuple[int, ...]) -> Int64:
    joint = np.zeros(len(codes), np.int64)
    for position, size in zip(codes.T, shape, strict=True):
        joint = joint * size + position
    return joint


def _towards_reference(joint: Int64, categories: Categories, audit: AuditSettings, cap: float) -> FaceWeights:
    shape = tuple(len(c) for c in categories.values())
    margins = []
    for attribute, declared in categories.items():
        shares = reference_shares(audit, attribute, declared)
        if shares is None:
            raise ConfigError(
                f"audit.plan_target is reference, but audit.reference does not give a share for each category of "
                f"{attribute}: give them, leave the attribute out, or set audit.plan_target=cells"
            )
        margins.append(shares)
    if np.prod(shape, dtype=object) > MOST_CELLS:
        raise ConfigError(f"the attributes have more than {MOST_CELLS} combinations: export fewer attributes")
    counts = np.bincount(joint[joint >= 0], minlength=int(np.prod(shape))).reshape(shape)
    if not counts.any():
        return FaceWeights(
            sampling_weights(joint, np.full(counts.size, 1 / counts.size), cap=cap), "no face has a label"
        )
    if len(margins) == 1:
        given = sampling_weights(joint, margins[0], cap=cap)
        return FaceWeights(given, _shortfall(given.status.count("empty"), counts.size, given))
    fit = fit_margins(counts, margins, cap)
    if np.isnan(fit.shares).any():
        raise ConfigError("no face lies in categories with a reference share above 0: correct audit.reference")
    given = sampling_weights(joint, np.clip(fit.shares.ravel(), 0, 1), cap=cap)
    if fit.status == "converged":
        return FaceWeights(given, None)
    missed = f"weights up to {cap:g} cannot meet all reference shares, and are off by up to {fit.deviation:.3g}"
    return FaceWeights(given, missed)


def _shortfall(empty: int, cells: int, given: SamplingWeights) -> str | None:
    capped = given.status.count("capped")
    parts = [f"{empty} of {cells} combinations have no face, and no weight makes one"] if empty else []
    if capped:
        parts.append(f"the cap keeps {capped} of {cells} below their target")
    return "; ".join(parts) or None
