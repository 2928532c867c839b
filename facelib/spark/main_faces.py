"""The main faces of a run's ok images with their labels, identities and measures, on the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.whole_units import drawn_units, linked_units
from facelib.reports.declared import category_codes
from facelib.reports.label_plan_file import design_of
from facelib.reports.labels import SUBJECT
from facelib.reports.measures_by_group import FACE_COLUMNS, IMAGE_COLUMNS, face_measures
from facelib.reports.partial_labels import MOST_FACES, PartialLabels
from facelib.spark.evaluation import FinishedRun
from schemas.tables import CLUSTERS, FACES, IMAGES, LABELS

Int64 = npt.NDArray[np.int64]
Categories = Mapping[str, Sequence[str]]


class MainFaces:
    """The main face of every image that has one, by face_id; of more than MOST_FACES, those of drawn identities.

    Nothing is read before it is asked for, and embeddings only of the drawn faces.
    """

    def __init__(
        self, run: FinishedRun, categories: Categories, most: int = MOST_FACES, plan: pa.Table | None = None
    ) -> None:
        self._run, self._categories, self._most, self._plan = run, categories, most, plan
        self._seed = int(run.record.config["cluster"]["seed"])
        self._known: dict[str, Int64] = {}

    def labels(self, attribute: str) -> PartialLabels:
        """The labels of an attribute; their design where the plan is of it (`facelib.reports.label_plan_file`)."""
        codes, categories = self._codes(attribute), tuple(self._categories.get(attribute, ()))
        counts = np.bincount(codes[codes >= 0], minlength=len(categories)).astype(np.int64)
        drawn = self.drawn[0]
        design, lacking = None, 0
        if self._plan is not None:
            images = self._drawn_rows.column("image_id").combine_chunks()
            design, lacking = design_of(self._plan, attribute, images, codes[drawn])
        missing = int((codes < 0).sum())
        return PartialLabels(attribute, categories, counts, missing, codes[drawn], self._unit[drawn], design, lacking)

    def is_partial(self, attribute: str) -> bool:
        """Whether some main faces have a label of the attribute and some have none; draws nothing."""
        known = self._codes(attribute) >= 0
        return bool(known.any() and not known.all())

    def is_full(self, attribute: str) -> bool:
        """Whether every main face has a label of the attribute; draws nothing."""
        return bool((self._codes(attribute) >= 0).all())

    @property
    def count(self) -> int:
        """Main faces of the run."""
        return int(self._rows.num_rows)

    @property
    def image_ids(self) -> list[str]:
        """Of the drawn faces."""
        found: list[str] = self._drawn_rows.column("image_id").to_pylist()
        return found

    @cached_property
    def drawn(self) -> tuple[Int64, float]:
        """Rows of the drawn faces, and the probability with which each was drawn."""
        return drawn_units(self._unit, self._most, self._seed)

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """Of the drawn faces."""
        return self._run.embeddings(self._drawn_rows.column("face_id").to_pylist())

    @cached_property
    def measures(self) -> pa.Table:
        """Of the drawn faces (`face_measures`)."""
        ids = self._drawn_rows.column("face_id").combine_chunks()
        return face_measures(self._run.rows_of(FACES, "face_id", ids, FACE_COLUMNS), self._images)

    @property
    def cameras(self) -> pa.ChunkedArray:
        """Of the images of the drawn faces, null where EXIF names none."""
        return self._images.column("camera")

    @cached_property
    def _images(self) -> pa.Table:
        """What is known of the images of the drawn faces."""
        images = self._drawn_rows.column("image_id").combine_chunks()
        columns = [name for name in IMAGE_COLUMNS if name != "image_id"]
        return self._run.rows_of(IMAGES, "image_id", images, [*columns, "camera"])

    @cached_property
    def _drawn_rows(self) -> pa.Table:
        return self._rows.take(pa.array(self.drawn[0]))

    @cached_property
    def _rows(self) -> pa.Table:
        return self._run.main_faces(CLUSTERS, ["cluster_id"])

    @cached_property
    def _unit(self) -> Int64:
        """Images of one cluster or one verified subject are one identity."""
        return linked_units(numbered(self._rows.column("cluster_id")), numbered(self._labelled(SUBJECT)))

    def _codes(self, attribute: str) -> Int64:
        """Category of each main face, −1 without a label and for a value that is none of the categories."""
        if attribute not in self._known:
            categories = self._categories.get(attribute, ())
            codes = category_codes(self._labelled(attribute), categories)
            self._known[attribute] = np.where(codes == len(categories), -1, codes)
        return self._known[attribute]

    def _labelled(self, attribute: str) -> pa.ChunkedArray:
        """The value of each main face, null without a label."""
        own = self._run.read(LABELS, ["image_id", "value"], ("attribute", pa.array([attribute])))
        own = own.filter(own.column("value").is_valid())
        row = pc.index_in(self._rows.column("image_id"), value_set=own.column("image_id").combine_chunks())
        return own.column("value").take(row)


def numbered(names: pa.ChunkedArray) -> Int64:
    """A number per distinct name, −1 for null."""
    numbers = pc.dictionary_encode(names).combine_chunks().indices
    found: Int64 = numbers.fill_null(-1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found
