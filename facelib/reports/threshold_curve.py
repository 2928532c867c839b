"""The threshold curve: what is estimated and what is known at similarities around the floor."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from facelib.audit.intervals import wilson
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate

_FACTORS = tuple(10.0**power for power in np.arange(4, -4.5, -0.5).tolist())
"""False edges relative to those at the floor, by point of the curve."""


def threshold_curve(floor: FloorEstimate, evidence: Evidence) -> pa.Table:
    """The contract `threshold_curve` without run_id, by rising similarity.

    The points allow from 10,000 times as many false edges as the floor, by the law of the tail
    (`facelib.clusters.floor`), to a ten thousandth. Beside that estimate stand the false match rate of pairs on one
    photograph and the true match rate of copies, each with a Wilson 95 % interval; null where there are no such pairs.
    """
    similarity = np.array([floor.looser(factor) for factor in _FACTORS])
    fmr = [None if floor.fmr is None else min(1.0, floor.fmr * factor) for factor in _FACTORS]
    columns: dict[str, object] = {
        "similarity": similarity,
        "is_floor": [factor == 1 for factor in _FACTORS],
        "fmr_estimated": pa.array(fmr, pa.float64()),
        "false_edges_per_face": pa.array([None if f is None else f * floor.n_faces for f in fmr], pa.float64()),
    }
    for name, known in (("same_photograph", evidence.non_mated), ("copies", evidence.mated)):
        n = np.full(len(similarity), len(known))
        above = (known[None, :] > similarity[:, None]).sum(axis=1)
        low, high = wilson(above, n)
        rate = np.divide(above, n, out=np.full(len(n), np.nan), where=n > 0)
        columns[f"n_{name}"] = n
        for part, values in (("rate", rate), ("ci_low", low), ("ci_high", high)):
            columns[f"{name}_{part}"] = pa.array(values, pa.float64(), from_pandas=True)
    return pa.table(columns)
