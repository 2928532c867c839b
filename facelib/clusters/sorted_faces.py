"""The faces of an archive in a fixed order, with what is known of them beside their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from facelib.clusters.communities import NO_PAIRS
from facelib.clusters.components import first_seen
from facelib.clusters.neighbours import normalise
from facelib.clusters.space import FloatArray, IntArray


@dataclass(frozen=True)
class Known:
    """What is known of n faces beside their embeddings, by position in the arrays they are given with."""

    copy_of: IntArray | None = None
    """(n,): the face that this one is a copy of (the same face on a copy of the photograph), which is none itself; -1:
    no copy. Copies join their original's cluster and count for nothing."""
    same_face: IntArray | None = None
    """(n,): boxes of one group are one face of their image, see `links.same_face_groups`."""
    cannot: IntArray = field(default_factory=lambda: NO_PAIRS)
    """Pairs (m, 2) that the user says are two people."""
    must: IntArray = field(default_factory=lambda: NO_PAIRS)
    """Pairs (m, 2) that the user says are one person."""
    subject: IntArray | None = None
    """(n,): verified person, -1 where unknown; given, the floor is calibrated on it."""
    content: Sequence[str] | None = None
    """(n,): what the faces are put in order by, those of equal content by face_id, so that the same pictures give the
    same clusters wherever they lie; by default face_id alone."""


@dataclass(frozen=True)
class SortedFaces:
    """The faces by ascending content (see `Known`), then face_id."""

    ids: list[str]
    images: list[str]
    unit: FloatArray
    image: IntArray
    is_core: npt.NDArray[np.bool_]
    copy_of: IntArray
    known: Known

    @property
    def core(self) -> IntArray:
        """Positions of the faces in the graph."""
        return np.flatnonzero(self.is_core)

    @property
    def place(self) -> IntArray:
        """Place of each face among those in the graph, -1 for the others."""
        place = np.full(len(self.ids), -1, np.int64)
        place[self.is_core] = np.arange(np.count_nonzero(self.is_core))
        return place

    @property
    def others(self) -> IntArray:
        """Positions of the unusable faces that are no copies."""
        return np.flatnonzero(~self.is_core & (self.copy_of < 0))

    @classmethod
    def sort(
        cls,
        face_ids: Sequence[str],
        image_ids: Sequence[str],
        embeddings: npt.ArrayLike,
        is_usable: npt.NDArray[np.bool_],
        known: Known,
    ) -> SortedFaces:
        unit = normalise(embeddings)
        n = len(face_ids)
        lengths = n, len(image_ids), len(unit), len(is_usable)
        if len(set(lengths)) > 1:
            raise ValueError("face_ids, image_ids, embeddings and is_usable have {}, {}, {}, {} rows".format(*lengths))
        content = face_ids if known.content is None else known.content
        rows = np.array(sorted(range(n), key=lambda i: (content[i], face_ids[i])), np.int64)
        place = np.empty(n, np.int64)
        place[rows] = np.arange(n)
        copy_of = np.full(n, -1, np.int64) if known.copy_of is None else known.copy_of.copy()
        copy_of[known.cannot.ravel()] = -1  # whoever says that two faces differ knows better than their likeness
        copy_of = np.where(copy_of < 0, -1, place[copy_of])[rows]
        sorted_known = Known(
            copy_of,
            None if known.same_face is None else known.same_face[rows],
            place[known.cannot],
            _originals(place[known.must], copy_of),
            None if known.subject is None else known.subject[rows],
        )
        images = [image_ids[i] for i in rows]
        image = first_seen(np.unique(np.array(images, dtype=np.str_), return_inverse=True)[1])
        is_core = is_usable[rows] & (copy_of < 0)
        return cls([face_ids[i] for i in rows], images, unit[rows], image, is_core, copy_of, sorted_known)


def _originals(pairs: IntArray, copy_of: IntArray) -> IntArray:
    """Pairs with copies replaced by their originals, without pairs of a face and itself."""
    roots = np.where(copy_of[pairs] < 0, pairs, copy_of[pairs])
    different: IntArray = roots[roots[:, 0] != roots[:, 1]]
    return different
