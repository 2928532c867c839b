"""Near duplicates: which copies are found, which other pictures are taken for copies, and the cost of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.archives import archive, evenly
from benchmarks.picture_copies import copies
from benchmarks.results_file import Result
from benchmarks.timing import Stopwatch
from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.near_duplicates import near_components, near_duplicate_groups
from facelib.demo.portrait import GroupTraits, render_portrait, sample_identity
from facelib.images.gradient_hash import dhashes
from facelib.images.measures import luma, phashes

PACKAGES = ("numpy", "opencv-python-headless", "Pillow")
_ORIGINALS = 300
_RENDERED = 150
_PER_PERSON = 3
_DISTANCES = (4, 6, 8, 10, 12, 14, 16, 18, 20)
_PHASH_DISTANCES = (2, 4, 6, 8, 10, 12, 14)
_SIZES = (10_000, 100_000, 1_000_000)
_CLUSTERED = 0.2

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """Hashes (n, 2, 2): of the picture and its mirror image, phash and dhash; and those of some pictures' copies."""

    name: str
    hashes: Ints
    people: npt.NDArray[np.str_]
    copied: Ints
    copies: dict[str, Ints]


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Two tables per kind of picture, groups, and cost."""
    sets = [_rendered(6 if quick else _RENDERED)]
    if data is not None:
        sets.append(_photographs(data, quick))
    tables = [table for pictures in sets for table in (_by_both(pictures), _by_phash(pictures))]
    return [*tables, _groups(sets), _cost((1000,) if quick else _SIZES)]


def _rendered(n: int) -> Pictures:
    images, people = [], []
    for i in range(n):
        identity = sample_identity(np.random.default_rng([1, i // _PER_PERSON]), GroupTraits())
        images.append(Image.fromarray(render_portrait(identity, np.random.default_rng([2, i]))))
        people.append(str(i // _PER_PERSON))
    return _pictures("rendered portraits", images, people, np.arange(n))


def _photographs(data: Path, quick: bool) -> Pictures:
    folder = archive(data).images
    paths = list(archive(data).by_path())
    paths = evenly(paths, 12) if quick else paths
    copied = np.array(evenly(range(len(paths)), _ORIGINALS))
    images = [Image.open(folder / path).convert("RGB") for path in paths]
    return _pictures(data.name, images, [path.split("/")[0] for path in paths], copied)


def _pictures(name: str, images: Sequence[Image.Image], people: Sequence[str], copied: Ints) -> Pictures:
    rng = np.random.default_rng(3)
    made: dict[str, list[list[tuple[int, int]]]] = {}
    for i in copied:
        for kind, copy in copies(images[i], rng).items():
            made.setdefault(kind, []).append(_hashes(copy))
    hashes = np.array([_hashes(image) for image in images])
    return Pictures(name, hashes, np.array(people), copied, {kind: np.array(h) for kind, h in made.items()})


def _hashes(image: Image.Image) -> list[tuple[int, int]]:
    grey = luma(np.asarray(image))
    return list(zip(phashes(grey), dhashes(grey), strict=True))


def _by_both(pictures: Pictures) -> Result:
    return _table(pictures, "phash and dhash, 128 bits", 2, _DISTANCES)


def _by_phash(pictures: Pictures) -> Result:
    return _table(pictures, "phash alone, 64 bits", 1, _PHASH_DISTANCES)


def _table(pictures: Pictures, name: str, words: int, distances: Sequence[int]) -> Result:
    rows = []
    for kind, hashes in pictures.copies.items():
        apart = np.diagonal(_apart(hashes[:, :, :words], pictures.hashes[pictures.copied][:, :, :words]))
        rows.append((kind, *(f"{(apart <= d).mean():.1%}" for d in distances)))
    n = len(pictures.hashes)
    pairs = np.triu_indices(n, 1)
    apart = _apart(pictures.hashes[:, :, :words], pictures.hashes[:, :, :words])[pairs]
    same = (pictures.people[:, None] == pictures.people)[pairs]
    rows.append(("**other pictures**, pairs", *(f"{(apart <= d).sum():,}" for d in distances)))
    rows.append(("of these of one person", *(f"{(same & (apart <= d)).sum():,}" for d in distances)))
    rows.append(("per million pairs", *(f"{(apart <= d).mean() * 1e6:,.2f}" for d in distances)))
    notes = (
        f"Copies of {len(pictures.copied)} pictures, each against its original; mirror images are compared too.",
        f"Other pictures: all {len(apart):,} pairs of {n:,} pictures, {same.sum():,} of them of one person.",
    )
    return Result(
        f"{pictures.name}: copies found by {name}", ("copy", *(f"≤ {d}" for d in distances)), tuple(rows), notes
    )


def _apart(a: Ints, b: Ints) -> npt.NDArray[np.float32]:
    """Distance of every a to every b, the least over picture and mirror image, (len(a), len(b))."""
    sides = [_bits(a[:, i]) for i in (0, 1)], [_bits(b[:, j]) for j in (0, 1)]
    distances = [x.sum(axis=1)[:, None] + y.sum(axis=1) - 2 * x @ y.T for x in sides[0] for y in sides[1]]
    return np.asarray(np.minimum.reduce(distances))


def _bits(hashes: Ints) -> npt.NDArray[np.float32]:
    return np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8), axis=1).astype(np.float32)


def _groups(sets: Sequence[Pictures]) -> Result:
    rows = [
        (pictures.name, what, str(d), *_group_figures(hashes, source, d))
        for pictures in sets
        for what, hashes, source in (
            ("pictures", pictures.hashes, np.arange(len(pictures.hashes))),
            ("pictures and copies", *_with_copies(pictures)),
        )
        for d in (10, 12, 14, 16)
    ]
    columns = (
        "archive",
        "images",
        "max_distance",
        "number",
        "groups",
        "largest",
        "its diameter, bits",
        "of two pictures",
        "precision",
        "recall",
    )
    notes = (
        "Of two pictures: groups that hold copies of more than one picture. Diameter: the largest distance inside. "
        "Precision and recall: pairs in one group against pairs of copies of one picture, the picture included.",
    )
    return Result("Groups", columns, tuple(rows), notes, text_columns=2)


def _with_copies(pictures: Pictures) -> tuple[Ints, Ints]:
    hashes = np.concatenate([pictures.hashes, *pictures.copies.values()])
    return hashes, np.concatenate([np.arange(len(pictures.hashes)), np.tile(pictures.copied, len(pictures.copies))])


def _group_figures(hashes: Ints, source: Ints, distance: int) -> tuple[str, ...]:
    labels = near_duplicate_groups(hashes[:, 0], hashes[:, 1], distance)
    n = labels.max(initial=-1) + 1
    if not n:
        return str(len(labels)), "0", "–", "–", "0", "–", "–"
    largest = hashes[labels == np.bincount(labels[labels >= 0]).argmax()]
    glued = sum(len(set(source[labels == g])) > 1 for g in range(n))
    diameter = f"{_apart(largest, largest).max():.0f}"
    return str(len(labels)), str(n), str(len(largest)), diameter, str(glued), *_precision_recall(labels, source)


def _precision_recall(labels: Ints, source: Ints) -> tuple[str, str]:
    """Of the pairs with equal labels, none of them negative, as a finding of the pairs of equal source."""
    grouped = labels >= 0
    together, true, both = (
        int((sizes * (sizes - 1) // 2).sum())
        for sizes in (
            np.unique(labels[grouped], return_counts=True)[1],
            np.unique(source, return_counts=True)[1],
            np.unique(np.stack([labels, source])[:, grouped], axis=1, return_counts=True)[1],
        )
    )
    return f"{both / together:.3f}", f"{both / true:.3f}" if true else "–"


def _cost(sizes: Sequence[int]) -> Result:
    rows = []
    for n in sizes:
        codes, watch = _random_codes(n), Stopwatch()
        nodes, distance = np.tile(np.arange(n), 2), DuplicateSettings().max_distance
        found = watch.time("search", near_components, codes, nodes, distance)
        groups = n - len(np.unique(found.labels))
        all_pairs = len(codes) * (len(codes) - 1) / 2
        row = (found.comparisons / 1e6, found.comparisons / all_pairs * 1e6, watch.seconds["search"])
        rows.append((f"{n:,}", f"{groups:,}", *(f"{v:,.1f}" for v in row)))
    columns = ("images", "joined to another", "comparisons, million", "per million pairs", "CPU seconds")
    notes = (f"Random codes, {_CLUSTERED:.0%} of them copies of others with up to 8 bits changed; one process.",)
    return Result("Cost of the search at the default distance", columns, tuple(rows), notes)


def _random_codes(n: int) -> npt.NDArray[np.uint64]:
    """Codes of n images and of their mirror images."""
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 2**64, (n, 2, 2), dtype=np.uint64)
    copy = np.arange(round(n * (1 - _CLUSTERED)), n)
    codes[copy] = codes[rng.integers(0, copy[0], len(copy))]
    for _ in range(8):
        bit = np.uint64(1) << rng.integers(0, 64, len(copy)).astype(np.uint64)
        codes[copy, rng.integers(0, 2, len(copy)), rng.integers(0, 2, len(copy))] ^= bit
    return np.concatenate([codes[:, 0], codes[:, 1]])
