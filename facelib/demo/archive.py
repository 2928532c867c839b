"""Writes a demonstration archive whose people, labels, duplicates and damage are known.

`labels.csv` holds what a user would declare; `planted.json` holds the truth that a run is checked
against. Everything follows from the plan: the same plan gives the same bytes on the same machine,
whatever the number of processes.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelib.demo.archive_plan import ATTRIBUTES, STREAMS, ArchivePlan, check_plan, subject_name
from facelib.demo.identity import Identity
from facelib.demo.planted_extras import Extras
from facelib.demo.planted_people import draw_people
from facelib.demo.planted_pictures import pictures_per_identity, render_all

__all__ = ["ATTRIBUTES", "ArchivePlan", "PlantedArchive", "pictures_per_identity", "write_archive"]

_FOLDERS = 4


@dataclass(frozen=True)
class PlantedArchive:
    """Where the archive lies, and `planted.json` as a dictionary."""

    folder: Path
    images: Path
    labels: Path
    planted: dict[str, Any]


def write_archive(folder: Path, plan: ArchivePlan, processes: int = 1) -> PlantedArchive:
    """Render the plan into `folder`: `images/…`, `labels.csv` and `planted.json`.

    Raises ConfigError when the plan cannot be met or `folder` already holds an archive.
    """
    check_plan(plan, folder)
    people = draw_people(plan)
    portraits = render_all(plan, [p for _, p in people], processes)
    files: dict[str, bytes] = {}
    subject_of: dict[str, str] = {}
    order = np.random.default_rng([plan.seed, STREAMS["pictures"]]).permutation(len(portraits))
    for number, index in enumerate(order):
        owner, data = portraits[index]
        name = f"{number % _FOLDERS:02d}/portrait_{number:04d}.jpg"
        files[name], subject_of[name] = data, subject_name(owner)
    originals = sorted(files)
    extras = Extras(plan, [p for _, p in people], originals, files, subject_of)
    planted = extras.add()
    labels = _labels(plan, people, subject_of)
    planted |= labels.pop("truth")
    planted |= _counts(plan, people, files, subject_of, len(originals))
    images = folder / "images"
    for name, data in files.items():
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(data)
    _write_csv(folder / "labels.csv", labels["rows"])
    (folder / "planted.json").write_text(json.dumps(planted, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return PlantedArchive(folder, images, folder / "labels.csv", planted)


def _labels(
    plan: ArchivePlan, people: list[tuple[dict[str, str], Identity]], subject_of: dict[str, str]
) -> dict[str, Any]:
    rng = np.random.default_rng([plan.seed, STREAMS["labels"]])
    attributes = {subject_name(k): row for k, (row, _) in enumerate(people)}
    names = sorted(subject_of)
    unlabelled = sorted(names[i] for i in rng.permutation(len(names))[: plan.unlabelled])
    labelled = [name for name in names if name not in set(unlabelled)]
    rows = [{"file": n, "subject": subject_of[n], **attributes[subject_of[n]]} for n in labelled]
    empty = []
    for i in sorted(rng.permutation(len(rows))[: round(plan.empty_cell_share * len(rows))]):
        column = ATTRIBUTES[rng.integers(len(ATTRIBUTES))]
        rows[i][column] = ""
        empty.append({"file": rows[i]["file"], "column": column})
    truth = {"label_rows": len(rows), "empty_cells": empty, "unlabelled": unlabelled}
    return {"rows": rows, "truth": truth}


def _counts(
    plan: ArchivePlan,
    people: list[tuple[dict[str, str], Identity]],
    files: dict[str, bytes],
    subject_of: dict[str, str],
    portraits: int,
) -> dict[str, Any]:
    attributes = {subject_name(k): row for k, (row, _) in enumerate(people)}
    images = {a: dict(Counter(attributes[s][a] for s in subject_of.values())) for a in ATTRIBUTES}
    return {
        "plan": asdict(plan) | {name: dict(getattr(plan, name)) for name in ATTRIBUTES},
        "files": len(files),
        "portraits": portraits,
        "identities": len(people),
        "subjects": attributes,
        "identities_per_category": {a: dict(Counter(row[a] for row, _ in people)) for a in ATTRIBUTES},
        "images_per_category": images,
        "subject_of": dict(sorted(subject_of.items())),
    }


def _write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, fieldnames=("file", "subject", *ATTRIBUTES), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
