"""What a table contract is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """Column types that Arrow, Spark, DuckDB and Athena read alike (no unsigned, no fixed-size list)."""

    STRING = "string"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BOOL = "bool"
    TIMESTAMP = "timestamp_us_utc"
    BINARY = "binary"
    LIST_FLOAT32 = "list<float32>"
    LIST_STRING = "list<string>"


@dataclass(frozen=True)
class Column:
    """One column: its type, unit, limits and meaning.

    `minimum` and `maximum` are inclusive. `values` is the closed set of an enum. A column is
    nullable only where null has a meaning, and `meaning` then says which.
    """

    name: str
    type: Type
    meaning: str
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The value range as a reader would write it."""
        if self.values:
            return ", ".join(self.values)
        if self.minimum is None and self.maximum is None:
            return ""
        low = "−∞" if self.minimum is None else f"{self.minimum:g}"
        high = "∞" if self.maximum is None else f"{self.maximum:g}"
        return f"{low} … {high}"


@dataclass(frozen=True)
class Table:
    """One table: a version that steps when a column changes, and the key that is unique in a run."""

    name: str
    version: int
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    is_store: bool = False

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        for c in self.columns:
            if c.name == name:
                return c
        raise KeyError(f"table {self.name} has no column {name}")

    def fingerprint(self) -> str:
        """Digest of all that a reader of the table relies on (not of the wording of meanings)."""
        facts = [[c.name, c.type.value, c.unit, c.nullable, c.minimum, c.maximum, list(c.values)] for c in self.columns]
        raw = json.dumps([self.name, list(self.key), facts], sort_keys=True)
        return hashlib.sha256(raw.encode()).hexdigest()[:16]
