"""How the images of an archive, or of a group, spread over its identities.

`images` is the number of images of each identity, (identities,); a zero is an identity that is not there. Where
identities are clusters, their errors are in these figures: a divided identity counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.diversity import effective_categories, unit_counts
from facelib.audit.resampling import Sparse, cluster_counts

Float64 = npt.NDArray[np.float64]
QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class IdentitySpread:
    """Images and identities of one group, and how unevenly the images are spread.

    gini: 0 … 1 − 1/identities. effective_identities: 1 … identities. largest_share: 1/identities … 1. All three are
    None without images. quantiles: images per identity at QUANTILES, float64, NaN without images.
    """

    images: int
    identities: int
    gini: float | None
    effective_identities: float | None
    largest_share: float | None
    quantiles: Float64


def image_gini(images: npt.ArrayLike) -> float | None:
    """Gini coefficient of images per identity, Σᵢ Σⱼ |xᵢ − xⱼ| / (2 n² x̄): 0 (all equal, or one) … 1 − 1/n.

    Without the factor n / (n − 1) for small n: it describes these identities. None without images.

    Source: C. Gini, Variabilità e mutabilità (1912); computed from ranks, Σ (2i − n − 1) xᵢ / (n Σ x), x ascending.
    """
    x = np.sort(_present(images))
    if x.size == 0:
        return None
    ranks = 2 * np.arange(1, x.size + 1) - x.size - 1
    return max(0.0, float((ranks * (x / x.sum())).sum() / x.size))


def weighted_gini(images: npt.ArrayLike, times: npt.ArrayLike) -> float:
    """`image_gini` of identities counted by their images: `images` ascending, (h,) > 0, of `times` identities each."""
    x, t = np.asarray(images, np.float64), np.asarray(times, np.float64)
    n, before = t.sum(), np.cumsum(t) - t
    return max(0.0, float((x * t * (2 * before + t - n)).sum() / (n * (x * t).sum())))


def image_quantiles(images: npt.ArrayLike, at: npt.ArrayLike = QUANTILES) -> Float64:
    """Images per identity at the quantiles `at` (0–1): the smallest number that this part of identities do not exceed.

    float64 of the shape of `at`, numbers that occur; NaN without images.
    """
    x, levels = _present(images), np.asarray(at, np.float64)
    if x.size == 0:
        return np.full(levels.shape, np.nan)
    return np.asarray(np.quantile(x, levels, method="inverted_cdf"), np.float64)


def identity_spread(images: npt.ArrayLike) -> IdentitySpread:
    """Figures of one group, or of a whole archive.

    effective_identities is 1 / Σ s² of the identities' shares s of the images (`effective_categories`): as many
    identities with equally many images would be as concentrated. Σ x / effective_identities is also the mean number
    of images of the identity of an image, the design effect of a share that is constant within identities.
    """
    x = _present(images)
    return IdentitySpread(
        int(x.sum()),
        x.size,
        image_gini(x),
        effective_categories(x),
        float(x.max() / x.sum()) if x.size else None,
        image_quantiles(x),
    )


def spread_by_group(identity: npt.ArrayLike, group: npt.ArrayLike, groups: int) -> list[IdentitySpread]:
    """One figure set per group, in order of code; empty groups included.

    `identity` and `group` are integer codes of the images, (images,), as for `cluster_counts`: identities from 0,
    groups 0 … `groups` − 1, `groups` for a missing one. An identity with images in several groups counts in each,
    with its images there.
    """
    by_group: Sparse = cluster_counts(identity, group, groups).tocsc()
    return [identity_spread(part) for part in np.split(by_group.data, by_group.indptr[1:-1])] if groups else []


def _present(images: npt.ArrayLike) -> Float64:
    x = unit_counts(images)
    return x[x > 0]
