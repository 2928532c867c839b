"""How often the intervals of `balance` hold the true shares, in biased subsamples of FairFace with known shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.harness import needs_photographs
from benchmarks.results_file import Result
from facelib.audit.joint_counts import attribute_sets
from facelib.audit.unit_counts import Names, count_units
from facelib.errors import ConfigError
from facelib.reports.balance import balance_cells
from facelib.reports.declared import category_codes, declared_categories
from facelib.reports.label_file import LabelColumns, read_label_file

PACKAGES = ("numpy", "scipy", "pyarrow")
ATTRIBUTES = ("race", "gender", "age")
PEOPLE = 600
DRAWS = 1000
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
_SIZES = np.arange(1, 31)
_POWER_LAW = _SIZES**-2.0 / (_SIZES**-2.0).sum()


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """A table of coverage by design and attribute set. ConfigError without the photographs' labels."""
    if data is None:
        raise ConfigError(needs_photographs("biased_draws"))
    file = data.parent / "fairface_dev" / "labels.csv"
    labels = read_label_file(file.read_bytes(), file.name, LabelColumns("file", None, ATTRIBUTES)).select(ATTRIBUTES)
    categories = declared_categories(labels)
    codes = np.stack([category_codes(labels.column(a), categories[a]) for a in ATTRIBUTES], axis=1)
    draws = 50 if quick else DRAWS
    designs: dict[str, Callable[[np.random.Generator], Int64]] = {
        "one image each": lambda rng: np.ones(PEOPLE, np.int64),
        "5 images each": lambda rng: np.full(PEOPLE, 5, np.int64),
        "1–30 images, power law": lambda rng: rng.choice(_SIZES, PEOPLE, p=_POWER_LAW),
    }
    rows = [row for name, sizes in designs.items() for row in _rows(name, sizes, codes, categories, draws)]
    notes = (
        "FairFace validation images (`fairface_dev`), each a person. Race, gender and age are weighed by random "
        f"known shares (Dirichlet); a draw takes {PEOPLE} people with these chances, with replacement, each with the "
        f"stated images; {draws:,} draws, seeds 0, 1, …",
        "Held: share of the 95 % intervals of `balance` (unit image) that hold the true share, the mean over cells and "
        "draws, then of the cell where it is least and most often so, among cells with a true share of 2 % or more "
        "(12 expected people). Last: the same with the Wilson interval over images.",
    )
    columns = ("images per person", "attributes", "cells", "held", "least", "most", "Wilson over images")
    return [Result("Known shares held by the intervals", columns, tuple(rows), notes)]


def _rows(
    name: str,
    sizes: Callable[[np.random.Generator], Int64],
    codes: Int64,
    categories: dict[str, tuple[str, ...]],
    draws: int,
) -> list[tuple[str, ...]]:
    sets = attribute_sets(ATTRIBUTES)
    held: dict[Names, list[Float64]] = {names: [] for names in sets}
    naive: dict[Names, list[Float64]] = {names: [] for names in sets}
    design = np.random.default_rng(99)
    chance = _chances(design, codes, categories)
    truth = {names: _truth(codes, chance, names, categories) for names in sets}
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        person = rng.choice(len(codes), PEOPLE, p=chance)
        identity = np.repeat(np.arange(PEOPLE), sizes(rng))
        drawn = codes[person[identity]]
        for found, of in ((held, identity), (naive, np.arange(identity.size))):
            counted = count_units(categories, drawn, of, sets)
            table = balance_cells({"image": counted}, ATTRIBUTES, categories)
            for names in sets:
                found[names].append(_holds(table, names, truth[names]))
    rows = []
    for names in sets:
        large = truth[names] >= 0.02
        rates, wilson = np.mean(held[names], axis=0)[large], np.mean(naive[names], axis=0)[large]
        figures = [_percent(v) for v in (rates.mean(), rates.min(), rates.max(), wilson.mean())]
        rows.append((name, " × ".join(names), f"{int(large.sum())}", *figures))
    return rows


def _chances(rng: np.random.Generator, codes: Int64, categories: dict[str, tuple[str, ...]]) -> Float64:
    """The chance of each image, by weights of its race, gender and age."""
    weight = np.ones(len(codes))
    for i, attribute in enumerate(ATTRIBUTES):
        weight *= rng.dirichlet(np.full(len(categories[attribute]), 3.0))[codes[:, i]]
    return np.asarray(weight / weight.sum())


def _truth(codes: Int64, chance: Float64, names: Names, categories: dict[str, tuple[str, ...]]) -> Float64:
    """The true share of every cell, missing ones included, in the order of `balance`."""
    shape = tuple(len(categories[a]) + 1 for a in names)
    cell = np.ravel_multi_index([codes[:, ATTRIBUTES.index(a)] for a in names], shape)
    return np.bincount(cell, chance, minlength=int(np.prod(shape)))


def _holds(table: pa.Table, names: Names, truth: Float64) -> Float64:
    chosen = [a == list(names) for a in table.column("attributes").to_pylist()]
    rows = table.filter(pa.array(chosen))
    low, high = (rows.column(c).to_numpy() for c in ("ci_low", "ci_high"))
    return ((low <= truth) & (truth <= high)).astype(np.float64)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
