"""The pictures that benchmarks work on: photographs where they are, rendered portraits elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.harness import CHECKOUT
from facelib.demo.archive import ArchivePlan, write_archive
from facelib.ids import image_id, settings_digest
from facelib.images.shards import ListedImage
from facelib.storage import list_images

BUILD = CHECKOUT / "build" / "bench"
T = TypeVar("T")


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder below BUILD that goes with its context."""
    BUILD.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=BUILD)


@dataclass(frozen=True)
class Archive:
    """A folder of images and what to call it in a table."""

    name: str
    images: Path

    def by_path(self) -> dict[str, ListedImage]:
        """All images, by path below the folder, sorted."""
        _, objects = list_images(str(self.images))
        listed = sorted(objects, key=lambda o: o.key)
        return {o.key: ListedImage(image_id(o.uri, o.etag), o.uri, o.etag, o.size_bytes) for o in listed}

    def members(self) -> list[ListedImage]:
        """All images, sorted by path."""
        return list(self.by_path().values())


def archive(data: Path | None) -> Archive:
    """The photographs in `data`, or the rendered archive, made on first use."""
    if data is not None:
        return Archive(data.name, data / "images")
    plan = ArchivePlan()
    folder = BUILD / f"archive-{settings_digest(plan)}"
    if not (folder / "planted.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        write_archive(folder, plan, processes=os.cpu_count() or 1)
    return Archive("rendered portraits", folder / "images")


def evenly(items: Sequence[T], n: int) -> list[T]:
    """At most `n` of the items, evenly spaced."""
    count = min(n, len(items))
    return [items[i * len(items) // count] for i in range(count)]
