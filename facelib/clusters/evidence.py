"""What an archive says about the floor without labels: pairs known to be of two people, and pairs known to be of one.

Two faces on one photograph are two people, so their pairs are non-mated; a face and its copy on a near duplicate are
one person's, so their pairs are mated. Against these the floor's estimate can be held at every similarity.

Known biases. Of the non-mated pairs: people on one photograph share light and camera, and are often relatives, of one
age or one group, all of which makes them more alike than two random people, so their false match rate overstates
the archive's; collages, mirrors and pictures within pictures show one person twice. Of the mated pairs: copies of one
photograph are far more alike than two photographs of a person, so their true match rate is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.clusters.links import pairs_within
from facelib.clusters.space import FloatArray, IntArray, Space


@dataclass(frozen=True)
class Evidence:
    """Similarities of pairs of known kind, both (m,) float32."""

    non_mated: FloatArray
    mated: FloatArray

    @classmethod
    def of(
        cls,
        space: Space,
        image: npt.NDArray[np.generic],
        same_face: IntArray | None,
        copy_of: IntArray,
        must: IntArray,
    ) -> Evidence:
        """From the faces of a space, their images (n,), and what is known of them (see `assign.Known`)."""
        a, b = pairs_within(np.unique(image, return_inverse=True)[1].astype(np.int64)).T
        apart = (copy_of[a] < 0) & (copy_of[b] < 0)
        if same_face is not None:
            apart &= same_face[a] != same_face[b]
        copies = np.flatnonzero(copy_of >= 0)
        one = np.concatenate([np.stack([copies, copy_of[copies]], axis=1), must])
        return cls(space.similarity(a[apart], b[apart]), space.similarity(*one.T))
