"""How many units every group holds: single attributes, pairs and chosen triples, with intervals over identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.identities import weighted_gini
from facelib.audit.intervals import wilson
from facelib.audit.joint_counts import attribute_sets
from facelib.audit.moments import ShareMoments
from facelib.audit.reference import flag
from facelib.audit.resampling import share_intervals
from facelib.audit.sampling_weights import TARGET_TOLERANCE
from facelib.audit.unit_counts import Names, UnitCounts
from facelib.errors import ConfigError
from facelib.reports.units_counted import Categories, Units, unit_counts
from facelib.reports.withheld import Masks, Withholding, withhold
from schemas.arrow import arrow_schema
from schemas.audit_tables import BALANCE

Reference = Mapping[str, Mapping[str, float]]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
BALANCE_SCHEMA = arrow_schema(BALANCE).remove_metadata().remove(0)


@dataclass(frozen=True)
class BalanceRules:
    """What balance is held against: `reference` shares by attribute, and the ratios between which nothing is flagged.

    The defaults are the four-fifths rule of 29 CFR 1607.4 D and its inverse.
    """

    reference: Reference
    flag_below: float = 0.8
    flag_above: float = 1.25
    confidence: float = 0.95


def balance_cells(
    units: Mapping[str, Units],
    attributes: Sequence[str],
    categories: Categories,
    rules: BalanceRules | None = None,
    triples: Sequence[Names] = (),
    withheld: Withholding | None = None,
) -> pa.Table:
    """Count of every cell of every attribute, every pair and the chosen triples, absent cells included.

    units: by name of the unit ("image", "face", "cluster", "subject") units that are counted already, or a table with
    one row per unit and one nullable string column per attribute, whose rows are identities of their own. categories:
    declared categories per attribute, in order. withheld: what `withheld.withhold` says of these units; by default
    nothing is.

    Returns the columns of the contract `balance` but run_id, rows by unit and attribute set, each over all
    combinations of declared categories and the missing cell (a null in `groups`), n = 0 included. Formulas and
    sources: METRICS.md. Raises ConfigError for a missing column or categories and for a bad reference.
    """
    chosen = rules or BalanceRules({})
    sets, counted, masks = audited(units, attributes, categories, chosen, triples, withheld)
    identities_hidden = masks.get("cluster", {})
    parts = [
        _rows(unit, names, of, categories, chosen, masks[unit][names], identities_hidden.get(names))
        for unit, of in counted.items()
        for names in sets
    ]
    return pa.concat_tables(parts) if parts else BALANCE_SCHEMA.empty_table()


def audited(
    units: Mapping[str, Units],
    attributes: Sequence[str],
    categories: Categories,
    rules: BalanceRules,
    triples: Sequence[Names],
    withheld: Withholding | None,
) -> tuple[list[Names], dict[str, UnitCounts], Mapping[str, Masks]]:
    """The attribute sets, the units counted, and the cells withheld of each; ConfigError as of `balance_cells`."""
    check_reference(rules.reference, attributes, categories)
    sets = attribute_sets(attributes, triples)
    counted = {unit: unit_counts(table, attributes, categories) for unit, table in units.items()}
    return sets, counted, (withheld or withhold(counted, sets, 0)).masks


def undeclared_rows(values: Mapping[str, Mapping[str, int]], images: int, min_cell: int) -> pa.Table:
    """A row of the unit image for every value that is none of the declared categories, under BALANCE_SCHEMA.

    values: by attribute, the images of each such value, which the cell of missing labels holds too. A count below
    min_cell is withheld, and with it those of the attribute's other undeclared values.
    """
    rows = []
    for attribute, found in values.items():
        hide = any(n < min_cell for n in found.values())
        for value, n in sorted(found.items()):
            figures = {} if hide else {"n": n, "share": n / images}
            row = {"unit": "image", "attributes": [attribute], "groups": [value], **figures}
            rows.append({**row, "is_suppressed": hide, "estimator": "undeclared"})
    return pa.Table.from_pylist(rows, schema=BALANCE_SCHEMA)


def _rows(
    unit: str,
    names: Names,
    of: UnitCounts,
    categories: Categories,
    rules: BalanceRules,
    mask: Bool,
    identities_hidden: Bool | None,
) -> pa.Table:
    counts, hidden = of.table(names), mask.ravel()
    n = counts.ravel()
    total = int(n.sum())
    withheld = hidden | (total == 0)
    moments = of.moments.get(names)
    if moments is None:
        (low, high), effect = wilson(n, total, rules.confidence), np.where(total, 1.0, np.nan) + np.zeros(n.size)
    else:
        found = share_intervals(moments.everyone, rules.confidence)
        low, high, effect = found.low, found.high, found.design_effect
    expected = _expected(names, n.size, categories, rules)
    ratio, ratio_low, ratio_high = _ratios(n, expected, moments.known if moments else None, rules)
    is_open = not hidden[-1]  # else the ratio would tell how many have no label
    no_ratio = np.isnan(ratio) | hidden | (not is_open)
    flagged = flag(ratio, ratio_low, ratio_high, rules.flag_below, rules.flag_above)
    held = _held(moments.everyone if moments else None, n.size)
    no_held = hidden | np.isnan(held[1]) | (identities_hidden.ravel() if identities_hidden is not None else False)
    columns = {
        "unit": pa.repeat(unit, n.size),
        "attributes": _lists(np.tile(np.arange(len(names)), n.size), names, len(names)),
        "groups": _groups([categories[a] for a in names], counts.shape),
        "n": pa.array(n, mask=hidden),
        **{
            k: pa.array(v, mask=withheld) for k, v in (("share", n / max(total, 1)), ("ci_low", low), ("ci_high", high))
        },
        "design_effect": pa.array(effect, mask=withheld | np.isnan(effect)),
        "identities": pa.array(held[0], mask=no_held),
        "effective_identities": pa.array(held[1], mask=no_held),
        "identity_gini": pa.array(held[2], mask=no_held),
        "reference_share": pa.array(expected, mask=np.isnan(expected)),
        **{k: pa.array(v, mask=no_ratio) for k, v in (("ratio", ratio), ("ratio_ci_low", ratio_low))},
        "ratio_ci_high": pa.array(ratio_high, mask=no_ratio),
        "is_flagged": pa.array(flagged, mask=no_ratio),
        "is_suppressed": pa.array(hidden),
        "estimator": pa.repeat("count", n.size),
    }
    return pa.table([columns[field.name] for field in BALANCE_SCHEMA], schema=BALANCE_SCHEMA)


def _expected(names: Names, cells: int, categories: Categories, rules: BalanceRules) -> Float64:
    """Reference share of every cell; NaN where there is none."""
    expected = np.full(cells, np.nan)
    if len(names) == 1 and names[0] in rules.reference:
        expected[:-1] = [rules.reference[names[0]][c] for c in categories[names[0]]]
    return expected


def _ratios(
    n: Int64, expected: Float64, known: ShareMoments | None, rules: BalanceRules
) -> tuple[Float64, Float64, Float64]:
    """Share among the known over the reference share, and its interval, the reference taken as exact; NaN without."""
    ratios = np.full((3, n.size), np.nan)
    total = int(n[:-1].sum())
    if total and not np.isnan(expected).all():
        if known is None:
            low, high = wilson(np.append(n[:-1], 0), total, rules.confidence)
        else:
            found = share_intervals(known, rules.confidence)
            low, high = found.low, found.high
        for row, share in zip(ratios, (n / total, low, high), strict=True):
            np.divide(share, expected, out=row, where=expected > 0)
    return ratios[0], ratios[1], ratios[2]


def _held(moments: ShareMoments | None, cells: int) -> tuple[Int64, Float64, Float64]:
    """Identities of each cell, their effective number and the Gini of their units; NaN without units or identities."""
    effective, gini = np.full(cells, np.nan), np.full(cells, np.nan)
    if moments is None:
        return np.zeros(cells, np.int64), effective, gini
    for cell in range(cells):
        sizes, times = moments.sizes(cell)
        if sizes.size:
            effective[cell] = float(moments.n[cell]) ** 2 / moments.own_squares[cell]
            gini[cell] = weighted_gini(sizes, times)
    return moments.identities, effective, gini


def _groups(categories: Sequence[Sequence[str]], shape: tuple[int, ...]) -> pa.ListArray:
    """The categories of every cell, in the order of the flattened counts."""
    starts = np.cumsum([0, *(len(c) + 1 for c in categories)])
    axes = np.indices(shape).reshape(len(shape), -1) + starts[: len(shape), None]
    words = [word for c in categories for word in (*c, None)]
    return _lists(axes.T.ravel(), words, len(shape))


def _lists(codes: npt.NDArray[Any], words: Sequence[str | None], width: int) -> pa.ListArray:
    """Lists of `width` words each, given by their positions."""
    values = pa.array(words, pa.string()).take(pa.array(codes))
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(codes) + 1, width), pa.int32()), values)


def check_reference(reference: Reference, attributes: Sequence[str], categories: Categories) -> None:
    """ConfigError when reference shares name no attribute, miss a category, or do not add up to 1."""
    for a, shares in reference.items():
        if a not in attributes or a not in categories:
            raise ConfigError(f"reference shares are given for {a}, which is no attribute: correct the name")
        if set(shares) != set(categories[a]):
            raise ConfigError(f"the reference of {a} must give a share for each of its categories, and no other")
        in_range = all(0 <= share <= 1 for share in shares.values())
        if not in_range or abs(sum(shares.values()) - 1) > TARGET_TOLERANCE:
            raise ConfigError(f"the reference shares of {a} must lie in 0–1 and add up to 1: correct them")
