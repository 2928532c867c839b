"""Faces with what is known of each: what the benchmarks of clusters are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Faces:
    """All faces of the archive, and who is on each image: the identity belongs to its main face (index 0)."""

    face_ids: list[str]
    image_ids: list[str]
    embeddings: npt.NDArray[np.float32]
    is_usable: npt.NDArray[np.bool_]
    is_main: npt.NDArray[np.bool_]
    identities: npt.NDArray[np.str_]

    def only(self, keep: npt.NDArray[np.bool_]) -> Faces:
        """Some of the faces."""
        ids = ([i for i, k in zip(values, keep, strict=True) if k] for values in (self.face_ids, self.image_ids))
        arrays = (self.embeddings, self.is_usable, self.is_main, self.identities)
        return Faces(*ids, *(a[keep] for a in arrays))


def together(first: Faces, second: Faces) -> Faces:
    """The faces of two archives as one."""
    return Faces(
        first.face_ids + second.face_ids,
        first.image_ids + second.image_ids,
        *(
            np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("embeddings", "is_usable", "is_main", "identities")
        ),
    )


def usable_by_id(faces: Faces) -> npt.NDArray[np.int64]:
    """Rows of the usable faces, by ascending face id."""
    return np.array(sorted(np.flatnonzero(faces.is_usable).tolist(), key=lambda i: faces.face_ids[i]), np.int64)


def image_numbers(faces: Faces) -> npt.NDArray[np.int64]:
    """The image of each face as a number."""
    return np.unique(np.array(faces.image_ids), return_inverse=True)[1].astype(np.int64)
