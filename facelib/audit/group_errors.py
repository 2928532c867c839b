"""FMR and FNMR by group and by pair of groups at one threshold for all, and the differentials between groups.

The threshold holds a global false match rate: over all non-mated comparisons, with those of faces without a group.
Intervals are those of `facelib.audit.resampled_errors`; the intervals of the differentials come from the same sets of
subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.differentials import Float64
from facelib.audit.error_counts import ErrorCounts, Totals
from facelib.audit.labelled_pairs import LabelledFaces, labelled_faces, sampled, thresholds_at
from facelib.audit.resampled_differentials import Differential, differentials_with_ends
from facelib.audit.resampled_errors import (
    Rates,
    design_effect,
    drawn_totals,
    mated_effect,
    mated_rates,
    non_mated_rates,
    share,
)
from facelib.clusters.space import IntArray, Space
from facelib.errors import ConfigError


@dataclass(frozen=True)
class Compared:
    """What was compared: the faces and subjects, of how many whose subject is known, and those of each group (groups,).

    Fewer than all means that subjects were drawn.
    """

    n_faces: int
    n_subjects: int
    of_faces: int
    of_subjects: int
    group_faces: IntArray
    group_subjects: IntArray


@dataclass(frozen=True)
class ErrorTable:
    """Error rates of one set of faces at one threshold; arrays follow the order of `categories`.

    `fmr` is (groups, groups), by the groups of the two faces. Similarity does not depend on their order, so the two
    orders of a pair of groups have the same rates, and the array is symmetric; its diagonal is the FMR within a
    group. `fnmr` is (groups,), of mated comparisons with both faces in the group. The `all_` rates are of all
    compared faces, with a group or without. Differentials are of the FMR within groups and of the FNMR; the groups
    without a comparison are left out of them and named in `without_fmr` and `without_fnmr`.
    """

    categories: tuple[str, ...]
    wanted_fmr: float
    threshold: float
    compared: Compared
    all_fmr: Rates
    all_fnmr: Rates
    fmr: Rates
    fnmr: Rates
    differentials: Mapping[str, Differential]
    without_fmr: tuple[str, ...]
    without_fnmr: tuple[str, ...]


def error_table(
    space: Space,
    subject: npt.ArrayLike,
    image: npt.ArrayLike,
    group: npt.ArrayLike,
    categories: Sequence[str],
    fmr: float,
    most_faces: int = 20_000,
    resamples: int = 1000,
    seed: int = 0,
) -> ErrorTable | None:
    """`error_tables` of one false match rate."""
    return error_tables(space, subject, image, group, categories, [fmr], most_faces, resamples, seed)[0]


def error_tables(
    space: Space,
    subject: npt.ArrayLike,
    image: npt.ArrayLike,
    group: npt.ArrayLike,
    categories: Sequence[str],
    rates: Sequence[float],
    most_faces: int = 20_000,
    resamples: int = 1000,
    seed: int = 0,
) -> list[ErrorTable | None]:
    """One table for each global false match rate in (0, 1); None where fewer than 10 false matches are expected.

    `space` holds n faces. `subject`, `image` and `group` are (n,) integers; subjects and the index into `categories`
    count from 0, -1 is unknown. Faces of unknown subjects are left out; faces without a group count in the
    `all_` rates alone. Two faces of one image are no comparison. Of more than `most_faces` faces, subjects are
    drawn in a random order, each with all its faces, as long as they fit. Results depend on the order of the rows only
    by the rounding of similarities. Time grows with the square of the faces, and with the false matches times
    `resamples`. Raises ConfigError when lengths differ, for a code or a rate out of range, and without a resample.
    """
    if resamples < 1:
        raise ConfigError(f"{resamples} sets of subjects give no interval: ask for some, such as 1000")
    given = labelled_faces(space, subject, image, group, len(categories))
    faces = sampled(given, most_faces, seed)
    thresholds = thresholds_at(faces, rates)
    supported = [t for t in thresholds if t is not None]
    if not supported:
        return [None] * len(rates)
    counts = ErrorCounts(faces, supported)
    compared = Compared(faces.n_faces, faces.n_subjects, given.n_faces, given.n_subjects, *_group_sizes(faces))
    tables: list[ErrorTable | None] = []
    for rate, threshold in zip(rates, thresholds, strict=True):
        if threshold is None:
            tables.append(None)
            continue
        at = supported.index(threshold)
        drawn = drawn_totals(counts, at, resamples, seed)
        tables.append(_table(tuple(categories), rate, threshold, compared, counts, at, drawn))
    return tables


def _table(
    categories: tuple[str, ...],
    rate: float,
    threshold: float,
    compared: Compared,
    counts: ErrorCounts,
    at: int,
    drawn: Totals,
) -> ErrorTable:
    n = len(categories)
    found = Totals(*(total[..., 0] for total in counts.totals(at, np.ones((counts.n_subjects, 1), np.int64))))
    all_drawn = share(drawn.all_false_matches, drawn.all_non_mated)
    effect = design_effect(int(found.all_false_matches), int(found.all_non_mated), float(np.nanvar(all_drawn)))
    everyone = np.asarray(counts.n_subjects // 2)
    all_fmr = non_mated_rates(found.all_false_matches, found.all_non_mated, all_drawn, effect, everyone)
    fmr_drawn = share(drawn.false_matches, drawn.non_mated)[:n, :n]
    unrelated = counts.unrelated_non_mated[:n, :n]
    fmr = non_mated_rates(found.false_matches[:n, :n], found.non_mated[:n, :n], fmr_drawn, effect, unrelated)

    missed, mated = counts.mated_by_subject(at)
    with_all = mated_rates(missed, mated, mated_effect(missed[n], mated[n]))
    all_fnmr, fnmr = with_all.cells(n), with_all.cells(slice(n))
    fnmr_drawn = share(drawn.false_non_matches, drawn.mated)[:n]
    within = fmr.value.diagonal()
    within_drawn = fmr_drawn[np.arange(n), np.arange(n)]
    return ErrorTable(
        categories=categories,
        wanted_fmr=rate,
        threshold=threshold,
        compared=compared,
        all_fmr=all_fmr,
        all_fnmr=all_fnmr,
        fmr=fmr,
        fnmr=fnmr,
        differentials=differentials_with_ends(within, fnmr.value, within_drawn.T, fnmr_drawn.T),
        without_fmr=_unknown(categories, within),
        without_fnmr=_unknown(categories, fnmr.value),
    )


def _unknown(categories: tuple[str, ...], rates: Float64) -> tuple[str, ...]:
    return tuple(c for c, rate in zip(categories, rates, strict=True) if np.isnan(rate))


def _group_sizes(faces: LabelledFaces) -> tuple[IntArray, IntArray]:
    """Faces and subjects of each group."""
    bins = faces.n_groups + 1
    of_subject = np.unique(faces.subject * bins + faces.group) % bins
    return np.bincount(faces.group, minlength=bins)[:-1], np.bincount(of_subject, minlength=bins)[:-1]
