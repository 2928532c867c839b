"""The labelled photographs of both test archives: faces, subjects and attributes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.archives import archive
from benchmarks.clusters import labelled_faces
from benchmarks.face_set import Faces
from facelib.errors import ConfigError
from facelib.images.shards import ListedImage


@dataclass(frozen=True)
class Photographs:
    """LFW, where subjects have several images, and FairFace, where every image is another person."""

    lfw: Faces
    fairface: Faces
    attributes: dict[str, dict[str, str]]
    """By subject: the columns of labels.csv."""


def photographs(lfw_folder: Path, most: int | None = None) -> Photographs:
    """Both archives, or their first `most` images; ConfigError when fairface_dev is not beside lfw_dev."""
    folder = lfw_folder.parent / "fairface_dev"
    if not (folder / "images").is_dir():
        raise ConfigError("the benchmark normalisation needs fairface_dev beside lfw_dev: add it to that folder")
    lfw_labels, labels = (_labels(f / "labels.csv") for f in (lfw_folder, folder))
    lfw = labelled_faces(_members(lfw_folder, most), {file: row["identity"] for file, row in lfw_labels.items()})
    fairface = labelled_faces(_members(folder, most), {Path(file).name: file for file in labels})
    return Photographs(lfw, fairface, {row["identity"]: row for row in lfw_labels.values()} | labels)


def _members(folder: Path, most: int | None) -> dict[str, ListedImage]:
    return dict(list(archive(folder).by_path().items())[:most])


def _labels(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as f:
        return {row["file"]: row for row in csv.DictReader(f)}
