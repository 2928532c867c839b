"""Units for the audit, from a table with a row per unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from facelib.audit.joint_counts import IntArray, JointCounts
from facelib.audit.unit_counts import UnitCounts
from facelib.errors import ConfigError
from facelib.reports.declared import category_codes

Units = Any  # a table of Arrow, which has no types, or UnitCounts
Categories = Mapping[str, Sequence[str]]


def unit_counts(units: Units, attributes: Sequence[str], categories: Categories) -> UnitCounts:
    """The units, counted; of a table with one nullable string column per attribute each row is an identity of its own.

    Values outside the declared categories count as missing. ConfigError for an attribute without column or categories.
    """
    if isinstance(units, UnitCounts):
        return units
    return UnitCounts(
        JointCounts.counted(
            {a: categories[a] for a in attributes if a in categories}, codes(units, attributes, categories)
        ),
        {},
    )


def codes(table: pa.Table, attributes: Sequence[str], categories: Categories) -> IntArray:
    """Positions of the values among the categories, int64 (rows, attributes); the number of them where missing."""
    found: list[IntArray] = []
    for a in attributes:
        if a not in table.column_names or a not in categories:
            raise ConfigError(f"attribute {a} has no column or no categories: give both, or leave it out")
        found.append(category_codes(table.column(a), categories[a]))
    return np.stack(found, axis=1) if found else np.zeros((table.num_rows, 0), np.int64)
