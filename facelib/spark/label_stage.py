"""The labels of a run: from a file, and cut from what was measured."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.settings import AuditSettings
from facelib.errors import ConfigError, ConflictError, ObjectNotFoundError
from facelib.reports.balance import check_reference
from facelib.reports.declared import cut, declared_categories
from facelib.reports.label_file import LabelColumns, read_label_file
from facelib.reports.labels import LABEL_ROWS_SCHEMA, image_of_key, label_rows
from facelib.reports.units import is_main_face
from facelib.spark.context import StageContext
from facelib.spark.listing import Listing
from facelib.storage import ObjectStore, StorageSettings, open_store
from schemas.tables import FACES, LABELS

MEASURED = {"ita_deg": "ita_is_reliable"}
"""Columns of `faces` that `audit.edges` may cut into categories, and the column that says where to trust them."""
_SECRET = "store/subject.key"


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

    def cut(self, audit: AuditSettings) -> LabelSource:
        """With numbers replaced by the names of their bins."""
        return replace(self, rows=cut(self.rows, audit.edges))


def check_labels(source: LabelSource | None, audit: AuditSettings) -> None:
    """ConfigError when declarations do not fit the attributes of the labels file and what is measured."""
    names = source.columns.attributes if source else ()
    rows = source.cut(audit).rows.select(list(names)) if source else pa.table({})
    measured = [a for a in audit.edges if a in MEASURED and a not in names]
    columns = dict(zip(rows.column_names, rows.columns, strict=True))
    given = pa.table(columns | {a: pa.nulls(rows.num_rows, pa.string()) for a in measured})
    in_triples = [a for triple in audit.triple_sets for a in triple]
    wanted = [*audit.categories, *audit.edges, *audit.reference, *audit.uniform, *in_triples]
    if wanted and not given.column_names:
        raise ConfigError("audit.categories, edges, reference, uniform and triples need labels: add --labels FILE")
    categories = declared_categories(given, audit.categories, audit.edges)
    for attribute in wanted:
        if attribute not in categories:
            raise ConfigError(
                f"[audit] names {attribute}, which is none of the attributes ({', '.join(categories)}): correct it"
            )
    check_reference(audit.references(categories), list(categories), categories)


def label_stage(context: StageContext, listing: Listing, source: LabelSource | None) -> None:
    """Write the `labels` table; empty without a labels file and measured attributes."""
    with context.stage("labels") as facts:
        audit = context.config.audit
        rows, unmatched = LABEL_ROWS_SCHEMA.empty_table(), 0
        if source is not None:
            names = listing.rows
            images = image_of_key(*(names.column(c).to_pylist() for c in ("image_id", "key", "uri")))
            labels = source.cut(audit)
            rows, unmatched = label_rows(labels.rows, labels.columns, images, _secret(context.store), source.file)
        given = source.columns.attributes if source else ()
        parts = [rows, *(_measured(context, a) for a in audit.edges if a in MEASURED and a not in given)]
        written = context.write_arrow(pa.concat_tables(parts), LABELS)
        facts.update(rows=written, label_rows_without_image=unmatched)


def _measured(context: StageContext, column: str) -> pa.Table:
    """Rows of `labels` for a measure of the main faces, where it can be trusted."""
    faces = context.read_arrow(FACES, ["face_id", "image_id", column, MEASURED[column]])
    kept = faces.filter(pc.and_(is_main_face(faces), pc.fill_null(faces.column(MEASURED[column]), False)))
    values = cut(pa.table({column: kept.column(column).cast(pa.string())}), context.config.audit.edges)
    same = [pa.repeat(pa.scalar(text, pa.string()), kept.num_rows) for text in (column, "measured")]
    return pa.table([kept.column("image_id"), same[0], values.column(column), same[1]], schema=LABEL_ROWS_SCHEMA)


def _secret(store: ObjectStore) -> bytes:
    """The output's pseudonym key; made once."""
    try:
        return store.get(_SECRET)
    except ObjectNotFoundError:
        with suppress(ConflictError):  # another driver made it first
            store.put_if(_SECRET, secrets.token_bytes(32), expected=None)
        return store.get(_SECRET)
