"""What clustering is told beside the faces: the user's pairs of faces, the run whose ids are kept, and a cohort."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from facelib.clusters.cohort import FEWEST
from facelib.clusters.gallery import templates
from facelib.clusters.gallery_file import load_gallery
from facelib.clusters.link_file import Links, check_contradictions, read_links, resolve_links
from facelib.clusters.space import FloatArray, IntArray
from facelib.embeddings.model import model_id
from facelib.errors import ConfigError
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord, current_run_id
from facelib.storage import ObjectStore

NO_RUN = "none"
NO_LINKS = Links("", ())


@dataclass(frozen=True)
class ClusterInputs:
    """Read before Spark starts, so that a wrong file ends the command at once."""

    must: Links = NO_LINKS
    cannot: Links = NO_LINKS
    previous: RunRecord | None = None
    cohort: FloatArray | None = None
    """Templates (m, d) of unit length, one per person; null: the cohort is drawn from the archive."""

    @classmethod
    def read(
        cls,
        store: ObjectStore,
        config: PipelineConfig,
        must_link: str | None,
        cannot_link: str | None,
        previous: str | None,
        cohort: str | None,
    ) -> ClusterInputs:
        """`previous`: a run, `none`, or null for the published one if there is one; the others name files.

        ConfigError for one that is wrong, ObjectNotFoundError for a file that is not there.
        """
        run_id = None if previous == NO_RUN else previous or current_run_id(store)
        return cls(
            read_links(must_link, config.storage) if must_link else NO_LINKS,
            read_links(cannot_link, config.storage) if cannot_link else NO_LINKS,
            RunRecord.load(store, run_id) if run_id else None,
            _cohort(cohort, config) if cohort else None,
        )

    def pairs(self, faces: pa.Table, root: str) -> tuple[IntArray, IntArray]:
        """Must-link and cannot-link pairs as positions in `faces` (face_id, image_id, uri), each (m, 2)."""
        ids, images, uris = (faces.column(c).to_pylist() for c in ("face_id", "image_id", "uri"))
        must, cannot = (resolve_links(links, ids, images, uris, root) for links in (self.must, self.cannot))
        check_contradictions(self.must, must, self.cannot, cannot)
        return must, cannot


def _cohort(path: str, config: PipelineConfig) -> FloatArray:
    if not config.cluster.cohort:
        raise ConfigError("--cohort needs cluster.cohort = true: leave one of the two out")
    wanted = model_id(config.embed.model, config.embed.mirror)
    unit, quality, subjects, _ = load_gallery("--cohort", path, wanted, config.storage)
    found = templates(unit, quality, subjects).vectors
    if len(found) < FEWEST:
        raise ConfigError(
            f"--cohort {path} holds {len(found)} people with a face, and at least {FEWEST} are needed: enrol more, or "
            "leave it out"
        )
    return found
