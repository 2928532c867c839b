"""Shares of categories from partly labelled archives: how often intervals hold the true share, and their widths."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.harness import needs_photographs
from benchmarks.labelled import photographs
from benchmarks.partial_draws import BINS, FIRST, LABELLED, LEAST_KEPT, TARGETS, Covered, Intervals, coverage, with_plan
from benchmarks.results_file import Result
from facelib.clusters.neighbours import normalise
from facelib.errors import ConfigError

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
_ATTRIBUTES = ("gender", "race", "age")
_DRAWS = 1000
_PLANNED_DRAWS = 200


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Three tables: coverage by attribute, by category, and with a plan of labels. ConfigError without photographs."""
    if data is None:
        raise ConfigError(needs_photographs("partial_labels"))
    found = photographs(data, 240 if quick else None)
    main = found.fairface.only(found.fairface.is_main & found.fairface.is_usable)
    unit = normalise(main.embeddings)
    pools = {}
    for key in _ATTRIBUTES:
        names, codes = np.unique([found.attributes[s][key] for s in main.identities.tolist()], return_inverse=True)
        pools[key] = names.tolist(), codes.astype(np.int64)
    draws, planned = (3, 2) if quick else (_DRAWS, _PLANNED_DRAWS)
    measured = {key: coverage(unit, codes, draws) for key, (_, codes) in pools.items()}
    names = {key: names for key, (names, _) in pools.items()}
    plans = {key: with_plan(unit, pools[key][1], planned) for key in ("gender", "race")}
    return [_by_attribute(measured, names, draws), _by_category(measured, names), _planned(plans, planned)]


def _by_attribute(measured: dict[str, dict[str, Covered]], names: dict[str, list[str]], draws: int) -> Result:
    rows = []
    for key, by_target in measured.items():
        for target, m in by_target.items():
            each = m.corrected.covers.mean(axis=0)
            worst = int(each.argmin())
            widths = [100 * i.width.mean() for i in (m.corrected, m.labelled)]
            row = [key, target, f"{m.images:,.0f}", f"{m.corrected.covers.mean():.1%}", f"{each[worst]:.1%}"]
            row += [names[key][worst], f"{m.labelled.covers.mean():.1%}", *(f"{w:.1f}" for w in widths)]
            row += [f"{widths[0] / widths[1]:.2f}", f"{100 * m.argmax_error.mean():.1f}"]
            rows.append(tuple(row))
    notes = (
        f"{draws:,} archives each, drawn from the main usable faces of fairface_dev: the share of every category in "
        f"them, times a factor from {LEAST_KEPT} to 1 (seed 0). {LABELLED:.0%} of an archive's images are labelled, "
        "at random; the probe knows no other label. Covered: 95 % intervals that hold the true share, over draws and "
        f"categories; one category: ± {1.96 * np.sqrt(0.95 * 0.05 / draws):.1%} by chance.",
        "archive: the share among the archive's images; source: the shares from which their numbers were drawn.",
        "Widths and errors in percentage points. Predicted alone: mean difference of the share by the most probable "
        "category from the true share, which no interval of it would show.",
        "facelib: `probe.cross_fitted`, `ppi.category_shares`. Labelled alone: Wilson, for archive with n / (1 − n/M).",
    )
    columns = ("attribute", "target", "images", "covered", "least", "category", "labelled alone", "width")
    return Result(
        "Shares from a tenth of the labels",
        (*columns, "labelled alone", "ratio", "predicted alone off by"),
        tuple(rows),
        notes,
        text_columns=2,
    )


def _by_category(measured: dict[str, dict[str, Covered]], names: dict[str, list[str]]) -> Result:
    rows = []
    for key, by_target in measured.items():
        archive, source = (by_target[t] for t in TARGETS)
        for k, name in enumerate(names[key]):
            ratio = archive.corrected.width[:, k].mean() / archive.labelled.width[:, k].mean()
            covered = (f"{m.corrected.covers[:, k].mean():.1%}" for m in (archive, source))
            row = [key, name, f"{archive.corrected.truth[:, k].mean():.1%}", *covered, f"{ratio:.2f}"]
            row += [f"{archive.tuning[:, k].mean():.2f}", f"{100 * archive.argmax_error[:, k].mean():.1f}"]
            rows.append(tuple(row))
    columns = ("attribute", "category", "mean share", "covered, archive", "covered, source", "ratio of widths", "λ")
    notes = ("The same draws. Ratio: of mean widths, to labelled alone. λ: mean weight of the predictions.",)
    return Result("By category", (*columns, "predicted alone off by"), tuple(rows), notes, text_columns=2)


def _planned(plans: dict[str, dict[str, Intervals]], draws: int) -> Result:
    how = {
        "first": "first labels alone, taken for a random sample",
        "random": "with as many more at random",
        "plan": "with as many more by the plan",
    }
    rows = [
        (key, how[name], f"{m.covers.mean():.1%}", f"{m.covers.mean(axis=0).min():.1%}", f"{100 * m.width.mean():.1f}")
        for key, found in plans.items()
        for name, m in found.items()
    ]
    notes = (
        f"{draws} archives each (seed 1), target archive. {FIRST:.0%} of the images are labelled first, categories "
        f"favoured by a factor from {LEAST_KEPT} to 1. Later labels are a random sample of the rest; the first then "
        "count for their own images alone (inclusion 1).",
        f"facelib: `label_plan.label_plan` ({BINS} bins) with its inclusion probabilities and strata.",
    )
    columns = ("attribute", "labels", "covered", "least of a category", "width")
    return Result("Labels of unknown origin, and a plan", columns, tuple(rows), notes, text_columns=2)
