"""Labels, balance and losses of a run."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facelib.audit.settings import AuditSettings
from facelib.errors import ConflictError, ObjectNotFoundError
from facelib.reports.balance import balance_cells, balance_summary, check_reference
from facelib.reports.label_file import LabelColumns, declared_categories, read_label_file
from facelib.reports.labels import image_of_key, label_rows
from facelib.reports.losses import losses
from facelib.spark.audit_units import audit_units, label_values
from facelib.spark.context import StageContext
from facelib.spark.listing import Listing
from facelib.storage import ObjectStore, StorageSettings, open_store
from schemas.tables import BALANCE, BALANCE_SUMMARY, LABELS, LOSSES

_SECRET = "store/subject.key"

Audit = Callable[[StageContext, dict[str, tuple[str, ...]]], dict[str, Any]]
AUDITS: tuple[Audit, ...] = ()
"""What follows the balance, in order: each writes its tables, given the categories of every attribute, and returns
what to note in the record."""


@dataclass(frozen=True)
class LabelSource:
    """A labels file that has been read and checked, and which of its columns mean what."""

    file: str
    columns: LabelColumns
    rows: pa.Table

    @classmethod
    def read(cls, uri: str, columns: LabelColumns, storage: StorageSettings) -> LabelSource:
        """Read a labels file from a folder or object storage; ConfigError or StorageError when it is unfit."""
        parent, slash, name = uri.rpartition("/")
        try:
            data = open_store(parent or slash or ".", storage).get(name)
        except ObjectNotFoundError:
            raise ObjectNotFoundError(f"labels file {uri} does not exist: check --labels") from None
        return cls(uri, columns, read_label_file(data, name, columns))

    def check(self, audit: AuditSettings) -> None:
        """ConfigError when the values do not fit the declared categories or reference shares."""
        categories = declared_categories(self.rows.select(self.columns.attributes), audit.categories)
        check_reference(audit.reference, self.columns.attributes, categories)


def label_stage(context: StageContext, listing: Listing, source: LabelSource | None) -> None:
    """Write the `labels` table; empty without a labels file."""
    with context.stage("labels") as facts:
        rows, unmatched = _label_rows(context, listing, source)
        facts.update(rows=context.write_arrow(rows, LABELS), label_rows_without_image=unmatched)


def _label_rows(context: StageContext, listing: Listing, source: LabelSource | None) -> tuple[pa.Table, int]:
    names = listing.rows
    images = image_of_key(*(names.column(c).to_pylist() for c in ("image_id", "key", "uri")))
    if source is None:
        return pa.table({n: pa.array([], pa.string()) for n in ("image_id", "attribute", "value", "source")}), 0
    return label_rows(source.rows, source.columns, images, _secret(context.store), source.file)


def _secret(store: ObjectStore) -> bytes:
    """The output's pseudonym key; made once."""
    try:
        return store.get(_SECRET)
    except ObjectNotFoundError:
        with suppress(ConflictError):  # another driver made it first
            store.put_if(_SECRET, secrets.token_bytes(32), expected=None)
        return store.get(_SECRET)


def balance_stage(context: StageContext) -> None:
    """Write `balance`, `balance_summary` and `losses` from the run's tables, which are counted in tasks."""
    with context.stage("balance") as facts:
        audit = context.config.audit
        categories = declared_categories(label_values(context), audit.categories)
        attributes = list(categories)
        images, units = audit_units(context, categories)
        limits: dict[str, Any] = {"flag_below": audit.flag_below, "flag_above": audit.flag_above}
        cells = balance_cells(units, attributes, categories, audit.min_cell, reference=audit.reference, **limits)
        summary = balance_summary(units, attributes, categories, audit.min_cell)
        lost = losses(images, attributes, categories)
        facts["balance"] = context.write_arrow(cells, BALANCE)
        facts["summary"] = context.write_arrow(summary, BALANCE_SUMMARY)
        facts["losses"] = context.write_arrow(lost, LOSSES)
        for audit in AUDITS:
            facts.update(audit(context, categories))
