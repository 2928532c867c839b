"""What an evaluation reads of a finished run, on the driver and without a Spark session."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facelib.embeddings.embed import vectors_of
from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.reports.labels import SUBJECT, image_of_key, label_rows
from facelib.reports.units import is_main_face, values_by_image
from facelib.spark.listing import Listing
from facelib.spark.run_record import RunRecord, published_or_named
from facelib.spark.tables import Place, read_arrow
from facelib.storage import ObjectStore, StorageSettings, open_store
from schemas.contract import Table
from schemas.tables import IMAGES, LABELS

if TYPE_CHECKING:
    from facelib.spark.label_stage import LabelSource

_EMBEDDER = "embedder"


@dataclass(frozen=True)
class Labelled:
    """Labels by image_id: the subject, and the value of every attribute; images without a value are left out.

    `unmatched` counts rows of the labels file whose image is not in the run.
    """

    source: str
    subject: dict[str, str]
    attributes: dict[str, dict[str, str]]
    unmatched: int


@dataclass(frozen=True)
class FinishedRun:
    """A run and where its output lies; nothing is written."""

    store: ObjectStore
    place: Place
    record: RunRecord

    @classmethod
    def open(cls, output: str, run_id: str | None, storage: StorageSettings) -> FinishedRun:
        """The named run, or the published one; ConfigError when there is none."""
        store = open_store(output, storage)
        record = RunRecord.load(store, published_or_named(store, run_id))
        return cls(store, Place(store.root, storage), record)

    def read(self, table: Table, columns: Sequence[str], only: tuple[str, pa.Array] | None = None) -> pa.Table:
        """Columns of a table, of the rows where a column has `only` these values; ConfigError without the table."""
        return read_arrow(self.place, self.record.files(table), table, columns, only)

    def rows_of(self, table: Table, key: str, wanted: pa.Array, columns: Sequence[str]) -> pa.Table:
        """`key` and `columns` of the rows with these keys, which must be there, in their order."""
        rows = self.read(table, [key, *columns], (key, wanted))
        return rows.take(pc.index_in(wanted, value_set=rows.column(key).combine_chunks()))

    def images(self) -> pa.Table:
        """image_id, uri, duplicate_of and key (path below `--images`) of every listed image."""
        rows = self.read(IMAGES, ["image_id", "uri", "duplicate_of"])
        return Listing(rows, self.record.arguments["root"]).rows

    def labels(self, source: LabelSource | None, attributes: Sequence[str]) -> Labelled:
        """Subjects and attributes from a labels file, or else from the run's own `labels` table.

        Subjects are pseudonyms either way. ConfigError when no label belongs to an image of the run, or the
        run's table lacks the subject or an attribute.
        """
        if source is None:
            name, unmatched, rows = f"run {self.record.run_id}", 0, self._own_labels(attributes)
        else:
            name, images = source.file, self.images()
            by_key = image_of_key(*(images.column(c).to_pylist() for c in ("image_id", "key", "uri")))
            # The pseudonyms of an evaluation are kept nowhere, so they need no secret.
            rows, unmatched = label_rows(source.rows, source.columns, by_key, b"", source.file)
        values = values_by_image(rows, [SUBJECT, *attributes])
        if not values[SUBJECT]:
            raise ConfigError(f"labels of {name} give no subject for any image of the run: correct --subject")
        return Labelled(name, values[SUBJECT], {a: values[a] for a in attributes}, unmatched)

    def _own_labels(self, attributes: Sequence[str]) -> pa.Table:
        rows = self.read(LABELS, ["image_id", "attribute", "value"]) if LABELS.name in self.record.tables else None
        known = set(rows.column("attribute").to_pylist()) if rows else set()
        if SUBJECT not in known:
            raise ConfigError(
                f"run {self.record.run_id} has no labels of verified subjects: "
                "give --labels FILE --label-key COL --subject COL"
            )
        missing = [a for a in attributes if a not in known]
        if missing:
            names = ", ".join(sorted(known - {SUBJECT})) or "none"
            raise ConfigError(
                f"run {self.record.run_id} has no labels for {missing[0]}: its attributes are {names}; "
                "correct --attributes or give --labels"
            )
        return rows

    def main_faces(self, table: Table, columns: Sequence[str] = ()) -> pa.Table:
        """face_id, image_id and `columns` of the main face (index 0) of every image that has one, by face_id."""
        rows = self.read(table, ["face_id", "image_id", *columns]).sort_by("face_id")
        return rows.filter(is_main_face(rows))

    def embeddings(self, face_ids: Iterable[str]) -> npt.NDArray[np.float32]:
        """Stored embeddings (n, d) of these faces, in their order, as the model gave them.

        ConfigError when the run was not embedded; ObjectNotFoundError when a file or face is gone from the store.
        """
        if _EMBEDDER not in self.record.models:
            raise ConfigError(f"run {self.record.run_id} has no embeddings yet: run facelib embed first")
        wanted = pa.array(face_ids, pa.string())
        folder = f"store/embeddings/model_id={self.record.models[_EMBEDDER]}"
        parts = []
        for shard in self.record.shards:
            data = self.store.get(f"{folder}/{shard.rsplit('/', 1)[1]}")
            part = pq.read_table(io.BytesIO(data), columns=["face_id", "embedding"])
            parts.append(part.filter(pc.is_in(part.column("face_id"), value_set=wanted)))
        found = pa.concat_tables(parts)
        position = pc.index_in(wanted, value_set=found.column("face_id").combine_chunks())
        if position.null_count:
            raise ObjectNotFoundError(
                f"{position.null_count} faces of run {self.record.run_id} have no stored embedding: "
                "the store has changed since, so evaluate a newer run"
            )
        rows: npt.NDArray[np.int64] = position.to_numpy()
        return vectors_of(found.column("embedding"))[rows]


def without_copies(image_ids: Iterable[str], images: pa.Table) -> list[str]:
    """The first of each set of exact copies: two copies are no comparison of two photographs.

    `images` holds image_id and duplicate_of of every listed image.
    """
    originals = zip(images.column("image_id").to_pylist(), images.column("duplicate_of").to_pylist(), strict=True)
    original_of = {image: original or image for image, original in originals}
    first: dict[str, str] = {}
    for image in image_ids:
        first.setdefault(original_of[image], image)
    return list(first.values())
