"""Faces that are copies of another: the same face on a copy of the same photograph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facelib.clusters.neighbours import normalise
from facelib.clusters.space import FloatArray, IntArray

_SAMPLE = 2048
_NEAR = 0.005


def near_distance(unit: FloatArray, seed: int) -> float:
    """Distance 1 - cosine that 0.5 % of all pairs of faces are closer than; unit rows (n, d), n at least 2."""
    sample = unit[np.sort(np.random.default_rng(seed).permutation(len(unit))[:_SAMPLE])]
    pairs = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return float(np.quantile(1 - pairs.astype(np.float64), _NEAR))


def copies(
    image_ids: Sequence[str],
    face_index: IntArray,
    duplicate_of: Sequence[str | None],
    near_group: Sequence[str | None],
    quality: npt.NDArray[np.float32],
    embeddings: FloatArray,
    seed: int,
) -> IntArray:
    """For each face the position of its original, or -1, (n,) int64; an original is no copy itself.

    All arguments are by face: its image, its index there, the image of the same bytes or null, the group of near
    duplicate images or null, its quality in 0-1, its embedding. Of the same bytes, faces of equal index are
    one. Of near duplicates, the image with the best face has the originals; a face of another image is the copy of
    the one there that is most similar to it, if that is mutual and the two are among the 0.5 % most similar pairs
    of the archive: near duplicates are found by their looks, and may show different people.
    """
    n = len(image_ids)
    of = np.full(n, -1, np.int64)
    place = {(image, index): i for i, (image, index) in enumerate(zip(image_ids, face_index.tolist(), strict=True))}
    for i, image in enumerate(duplicate_of):
        if image is not None:
            of[i] = place.get((image, int(face_index[i])), -1)
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, group in enumerate(near_group):
        if group is not None and duplicate_of[i] is None:
            groups[group][image_ids[i]].append(i)
    if groups and n > 1:
        unit = normalise(embeddings)
        nearest = near_distance(unit, seed)
        for images in groups.values():
            _match(list(images.values()), quality, unit, nearest, of)
    chained = (of >= 0) & (of[of] >= 0)
    of[chained] = of[of[chained]]
    return of


def _match(
    images: list[list[int]], quality: npt.NDArray[np.float32], unit: FloatArray, nearest: float, of: IntArray
) -> None:
    originals = max(images, key=lambda faces: (max(quality[faces]), -faces[0]))
    for faces in images:
        if faces is originals:
            continue
        cosine = unit[faces] @ unit[originals].T
        for row, column in enumerate(cosine.argmax(axis=1).tolist()):
            if cosine[:, column].argmax() == row and 1 - cosine[row, column] < nearest:
                of[faces[row]] = originals[column]
