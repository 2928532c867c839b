"""Writes a demonstration archive whose people, labels, duplicates and damage are known.

`labels.csv` holds what a user would declare; `planted.json` holds the truth that a run is checked
against. Everything follows from the plan: the same plan gives the same bytes on the same machine,
whatever the number of processes.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facelib.demo.head import GEOMETRY, GroupTraits, Identity, sample_identity
from facelib.demo.portrait import render_background, render_portrait
from facelib.errors import ConfigError
from facelib.reasons import ImageReason

ATTRIBUTES = ("skin_tone", "age_band", "glasses")
_CANDIDATES = 24  # identities drawn for each one kept, so that no two people look alike by chance
_FOLDERS = 4
_STREAMS = {"people": 0, "pictures": 1, "extras": 2, "labels": 3}


@dataclass(frozen=True)
class ArchivePlan:
    """What to plant.

    Pictures per identity run from `fewest` to `most`, most people near the low end (mean 8 for 4 to 14).
    `skin_tone`, `age_band` and `glasses` are the shares of identities per category; each sums to 1.
    `size` fixes the pixels of every portrait; by default each has its own, 256 to 640.
    """

    identities: int = 60
    fewest: int = 4
    most: int = 14
    seed: int = 7
    skin_tone: Mapping[str, float] = field(default_factory=lambda: {"light": 0.70, "medium": 0.22, "dark": 0.08})
    age_band: Mapping[str, float] = field(default_factory=lambda: {"18-34": 0.55, "35-54": 0.30, "55+": 0.15})
    glasses: Mapping[str, float] = field(default_factory=lambda: {"no": 0.80, "yes": 0.20})
    exact_duplicates: int = 6
    near_duplicates: int = 8
    group_pictures: int = 2
    empty_cell_share: float = 0.03
    unlabelled: int = 5
    size: int | None = None


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
    _check(plan, folder)
    people = _people(plan)
    portraits = _render_all(plan, [p for _, p in people], processes)
    files: dict[str, bytes] = {}
    subject_of: dict[str, str] = {}
    order = np.random.default_rng([plan.seed, _STREAMS["pictures"]]).permutation(len(portraits))
    for number, index in enumerate(order):
        owner, data = portraits[index]
        name = f"{number % _FOLDERS:02d}/portrait_{number:04d}.jpg"
        files[name], subject_of[name] = data, _subject(owner)
    originals = sorted(files)
    extras = _Extras(plan, [p for _, p in people], originals, files, subject_of)
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


def _check(plan: ArchivePlan, folder: Path) -> None:
    if plan.identities < 2:
        raise ConfigError(f"identities is {plan.identities}: plan at least 2")
    if not 1 <= plan.fewest <= plan.most:
        raise ConfigError(f"fewest is {plan.fewest} and most is {plan.most}: give 1 <= fewest <= most")
    for name in ATTRIBUTES:
        total = sum(getattr(plan, name).values())
        if abs(total - 1) > 1e-9:
            raise ConfigError(f"the shares of {name} sum to {total:g}: make them sum to 1")
    if (folder / "images").exists():
        raise ConfigError(f"folder {folder} already holds images: give a new or empty folder")


def _subject(index: int) -> str:
    return f"subject_{index:03d}"


# ---------------------------------------------------------------- people and their portraits


def pictures_per_identity(plan: ArchivePlan) -> list[int]:
    """Planned pictures of each identity: the quantiles of fewest + (most − fewest)·u^1.5, shuffled."""
    rank = (np.arange(plan.identities) + 0.5) / plan.identities
    counts = np.round(plan.fewest + (plan.most - plan.fewest) * rank**1.5).astype(int)
    rng = np.random.default_rng([plan.seed, _STREAMS["people"], 1])
    return [int(c) for c in rng.permutation(counts)]


def _people(plan: ArchivePlan) -> list[tuple[dict[str, str], Identity]]:
    """Attributes and identity of each person; each is the candidate furthest from those before it."""
    rng = np.random.default_rng([plan.seed, _STREAMS["people"]])
    columns = {name: _apportion(getattr(plan, name), plan.identities, rng) for name in ATTRIBUTES}
    people: list[tuple[dict[str, str], Identity]] = []
    seen: list[npt.NDArray[np.float64]] = []
    for k in range(plan.identities):
        row = {name: columns[name][k] for name in ATTRIBUTES}
        traits = GroupTraits(row["skin_tone"], row["age_band"], row["glasses"] == "yes")  # type: ignore[arg-type]
        candidates = [sample_identity(rng, traits) for _ in range(_CANDIDATES)]
        looks = [_look(c) for c in candidates]
        nearest = [min((float(np.linalg.norm(v - s)) for s in seen), default=0.0) for v in looks]
        best = int(np.argmax(nearest))
        people.append((row, candidates[best]))
        seen.append(looks[best])
    return people


def _look(p: Identity) -> npt.NDArray[np.float64]:
    shape = [(getattr(p, name) - low) / (high - low) for name, (low, high) in GEOMETRY.items()]
    colours = np.log([*p.skin, *p.hair_colour]) / 3
    return np.array([*shape, *colours, 0.7 * (p.beard == "none"), 0.7 * (p.hair in ("bob", "long"))])


def _apportion(shares: Mapping[str, float], total: int, rng: np.random.Generator) -> list[str]:
    """`total` category names in the shares (largest remainder), in random order."""
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    names = [name for name in shares for _ in range(counts[name])]
    return [names[i] for i in rng.permutation(total)]


def _render_all(plan: ArchivePlan, people: list[Identity], processes: int) -> list[tuple[int, bytes]]:
    jobs = (range(len(people)), people, pictures_per_identity(plan), repeat(plan))
    if processes <= 1:
        batches: Iterable[list[bytes]] = map(_render_person, *jobs)
        return [(k, data) for k, batch in enumerate(batches) for data in batch]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return [(k, data) for k, batch in enumerate(pool.map(_render_person, *jobs)) for data in batch]


def _render_person(index: int, identity: Identity, pictures: int, plan: ArchivePlan) -> list[bytes]:
    batch = []
    for k in range(pictures):
        rng = np.random.default_rng([plan.seed, _STREAMS["pictures"], index, k])
        picture = Image.fromarray(render_portrait(identity, rng, plan.size))
        batch.append(_encoded(picture, "JPEG", quality=int(rng.integers(60, 96))))
    return batch


def _encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


# ---------------------------------------------------------------- duplicates, oddities and damage


class _Extras:
    """Adds to `files` and `subject_of` everything that is not an ordinary portrait."""

    def __init__(
        self,
        plan: ArchivePlan,
        people: list[Identity],
        originals: list[str],
        files: dict[str, bytes],
        subject_of: dict[str, str],
    ) -> None:
        self.plan, self.people, self.originals = plan, people, originals
        self.files, self.subject_of = files, subject_of
        self.rng = np.random.default_rng([plan.seed, _STREAMS["extras"]])

    def add(self) -> dict[str, Any]:
        """Their record for `planted.json`."""
        count = self.plan.exact_duplicates + self.plan.near_duplicates
        chosen = [self.originals[i] for i in self.rng.permutation(len(self.originals))[:count]]
        return {
            "exact_duplicates": self._exact(chosen[: self.plan.exact_duplicates]),
            "near_duplicates": self._near(chosen[self.plan.exact_duplicates :]),
            "unusual_but_readable": self._unusual(),
            "group_pictures": self._groups(),
            "rejected": self._damaged(),
        }

    def _exact(self, chosen: list[str]) -> list[dict[str, str]]:
        pairs = []
        for k, source in enumerate(chosen):
            name = f"copies/copy_{k:02d}.jpg"
            self.files[name], self.subject_of[name] = self.files[source], self.subject_of[source]
            pairs.append({"original": source, "copy": name})
        return pairs

    def _near(self, chosen: list[str]) -> list[dict[str, str]]:
        pairs = []
        for k, source in enumerate(chosen):
            picture = Image.open(io.BytesIO(self.files[source])).convert("RGB")
            change = ("re-encoded", "resized", "brighter", "png")[k % 4]
            name = f"copies/near_{k:02d}.{'png' if change == 'png' else 'jpg'}"
            if change == "resized":
                picture = picture.resize((round(picture.width * 0.85), round(picture.height * 0.85)))
            elif change == "brighter":
                picture = picture.point(lambda v: min(255, round(v * 1.06)))
            quality = 70 if change == "re-encoded" else 90
            data = _encoded(picture, "PNG") if change == "png" else _encoded(picture, "JPEG", quality=quality)
            self.files[name], self.subject_of[name] = data, self.subject_of[source]
            pairs.append({"original": source, "copy": name, "change": change})
        return pairs

    def _portrait(self, index: int) -> Image.Image:
        return Image.fromarray(render_portrait(self.people[index % len(self.people)], self.rng, self.plan.size))

    def _unusual(self) -> dict[str, str]:
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: the viewer turns the stored picture 90° clockwise
        deep = np.asarray(self._portrait(2), np.uint16)[..., ::-1] * 257
        made = {
            "odd/png_named_jpg.jpg": ("PNG bytes", _encoded(self._portrait(0), "PNG")),
            "odd/cmyk.jpg": ("CMYK JPEG", _encoded(self._portrait(1).convert("CMYK"), "JPEG", quality=90)),
            "odd/sixteen_bit.png": ("16-bit PNG", cv2.imencode(".png", deep)[1].tobytes()),
            "odd/rotated.jpg": (
                "EXIF orientation 6",
                _encoded(self._portrait(3).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif),
            ),
        }
        for k, (name, (_, data)) in enumerate(made.items()):
            self.files[name], self.subject_of[name] = data, _subject(k % len(self.people))
        return {name: what for name, (what, _) in made.items()}

    def _groups(self) -> dict[str, list[str]]:
        pictures = {}
        for k in range(self.plan.group_pictures):
            left, right = (int(i) for i in self.rng.choice(len(self.people), 2, replace=False))
            size = self.plan.size or 420
            pair = [render_portrait(self.people[i], self.rng, size) for i in (left, right)]
            name = f"groups/pair_{k}.jpg"
            self.files[name] = _encoded(Image.fromarray(np.hstack(pair)), "JPEG", quality=90)
            pictures[name] = [_subject(left), _subject(right)]
        return pictures

    def _damaged(self) -> dict[str, str]:
        whole = self.files[self.originals[0]]
        scene = self._scene(32)
        damaged = {
            "damaged/cut_off.jpg": (whole[: len(whole) * 6 // 10], ImageReason.TRUNCATED),
            "damaged/zero_bytes.jpg": (b"", ImageReason.EMPTY),
            "damaged/notes.jpg": (b"These are the notes of the shoot.\n" * 40, ImageReason.NOT_AN_IMAGE),
            "damaged/huge.png": (_png_header(60000, 60000), ImageReason.TOO_MANY_PIXELS),
            "damaged/scan.ppm": (_encoded(scene, "PPM"), ImageReason.UNSUPPORTED_FORMAT),
            "scenery/landscape.jpg": (_encoded(self._landscape(), "JPEG", quality=88), ImageReason.NO_FACE),
            "scenery/gradient.jpg": (_encoded(self._scene(320), "JPEG", quality=88), ImageReason.NO_FACE),
            "scenery/static.png": (_encoded(self._static(), "PNG"), ImageReason.NO_FACE),
        }
        self.files.update({name: data for name, (data, _) in damaged.items()})
        return {name: str(reason) for name, (_, reason) in damaged.items()}

    def _scene(self, size: int) -> Image.Image:
        pixels = render_background(self.rng, size)
        return Image.fromarray((pixels * 255).astype(np.uint8))

    def _static(self) -> Image.Image:
        return Image.fromarray(self.rng.integers(0, 256, (240, 320, 3), np.uint8))

    def _landscape(self) -> Image.Image:
        y = np.linspace(0, 1, 320)[:, None, None]
        sky = np.array([90, 140, 210]) + y * np.array([120, 80, 20])
        pixels = np.broadcast_to(sky, (320, 480, 3)).copy()
        x = np.arange(480)
        for k, colour in enumerate(([110, 130, 140], [70, 105, 80], [45, 85, 40])):
            waves = self.rng.uniform(10, 30, 3)[:, None] * np.sin(x / self.rng.uniform(30, 90, (3, 1)) + k)
            ridge = 150 + 50 * k + waves.sum(0)
            pixels[np.arange(320)[:, None] > ridge] = colour
        pixels += self.rng.normal(0, 4, pixels.shape)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _png_header(width: int, height: int) -> bytes:
    """A well-formed 8-bit RGB PNG whose header announces width × height, with one row of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes(1 + 3 * width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- labels and truth


def _labels(
    plan: ArchivePlan, people: list[tuple[dict[str, str], Identity]], subject_of: dict[str, str]
) -> dict[str, Any]:
    rng = np.random.default_rng([plan.seed, _STREAMS["labels"]])
    attributes = {_subject(k): row for k, (row, _) in enumerate(people)}
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
    attributes = {_subject(k): row for k, (row, _) in enumerate(people)}
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
