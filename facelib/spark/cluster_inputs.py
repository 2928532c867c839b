"""What clustering is told beside the faces: the user's pairs of faces, and the run whose ids are kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from facelib.clusters.link_file import Links, check_contradictions, read_links, resolve_links
from facelib.clusters.space import IntArray
from facelib.spark.run_record import RunRecord, current_run_id
from facelib.storage import ObjectStore, StorageSettings

NO_RUN = "none"
NO_LINKS = Links("", ())


@dataclass(frozen=True)
class ClusterInputs:
    """Read before Spark starts, so that a wrong file ends the command at once."""

    must: Links = NO_LINKS
    cannot: Links = NO_LINKS
    previous: RunRecord | None = None

    @classmethod
    def read(
        cls,
        store: ObjectStore,
        storage: StorageSettings,
        must_link: str | None,
        cannot_link: str | None,
        previous: str | None,
    ) -> ClusterInputs:
        """`previous`: a run, `none`, or null for the published one if there is one. ConfigError for a wrong one."""
        run_id = None if previous == NO_RUN else previous or current_run_id(store)
        return cls(
            read_links(must_link, storage) if must_link else NO_LINKS,
            read_links(cannot_link, storage) if cannot_link else NO_LINKS,
            RunRecord.load(store, run_id) if run_id else None,
        )

    def pairs(self, faces: pa.Table, root: str) -> tuple[IntArray, IntArray]:
        """Must-link and cannot-link pairs as positions in `faces` (face_id, image_id, uri), each (m, 2)."""
        ids, images, uris = (faces.column(c).to_pylist() for c in ("face_id", "image_id", "uri"))
        must, cannot = (resolve_links(links, ids, images, uris, root) for links in (self.must, self.cannot))
        check_contradictions(self.must, must, self.cannot, cannot)
        return must, cannot
