"""The table `balance`, found by attribute, unit and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNITS = ("image", "face", "cluster")
UNIT_WORDS = {"image": "images", "face": "faces", "cluster": "identities", "subject": "verified people"}
Row = Mapping[str, Any]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Cells:
    """The rows that are counts. groups: per attribute its declared categories in order, then None for the missing cell.
    single: (attribute, unit) → group → row. pairs: (attributes, unit) → groups → row."""

    groups: Mapping[str, Sequence[str | None]]
    single: Mapping[tuple[str, str], Mapping[str | None, Row]]
    pairs: Mapping[tuple[Pair, str], Mapping[tuple[str | None, str | None], Row]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Cells:
        """From the rows of `balance`."""
        single: dict[tuple[str, str], dict[str | None, Row]] = {}
        pairs: dict[tuple[Pair, str], dict[tuple[str | None, str | None], Row]] = {}
        for row in rows:
            if row["estimator"] != "count":
                continue
            if len(row["attributes"]) == 1:
                single.setdefault((row["attributes"][0], row["unit"]), {})[row["groups"][0]] = row
            elif len(row["attributes"]) == 2:
                names, found = (row["attributes"][0], row["attributes"][1]), (row["groups"][0], row["groups"][1])
                pairs.setdefault((names, row["unit"]), {})[found] = row
        groups = {attribute: _missing_last(found) for (attribute, _), found in single.items()}
        return cls(groups, single, pairs)

    @property
    def units(self) -> tuple[str, ...]:
        """The units that are counted, in order."""
        return tuple(dict.fromkeys(unit for _, unit in self.single))

    @property
    def attributes(self) -> list[str]:
        """The audited attributes, in order."""
        return list(self.groups)


def _missing_last(found: Mapping[str | None, Row]) -> list[str | None]:
    return sorted(found, key=lambda group: group is None)
