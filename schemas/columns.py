"""Columns that many tables share."""

from __future__ import annotations

from schemas.contract import Column, Table, Type

_S = Type.STRING

RUN_ID = Column("run_id", _S, "the run that wrote the row")
IMAGE_ID = Column("image_id", _S, "object version: digest of uri and etag")
FACE_ID = Column("face_id", _S, "image_id, a hyphen, and the index of the face (0 = most prominent: large and central)")


def light_table(name: str, row: str, key: tuple[str, ...], *columns: Column, version: int = 1) -> Table:
    """A table of a run, for analysts; `run_id` comes first."""
    return Table(name, version, row, key, (RUN_ID, *columns))
