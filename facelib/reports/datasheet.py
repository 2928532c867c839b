"""`datasheet.md`: what a run can answer of the questions of "Datasheets for Datasets" about its archive, in Markdown.

What a run cannot know is said to be for the owner of the archive; nothing is guessed. No address, name or key is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facelib.reports.croissant import TableFiles
from facelib.reports.datasheet_questions import QUESTIONS
from facelib.reports.html.cells import UNIT_WORDS
from facelib.reports.html.markup import count
from facelib.reports.markdown import bullets, grid, md
from facelib.reports.run_protocol import USE, annotation, preprocessing, sensitive
from facelib.reports.run_words import LICENCE_NOT_STATED, NOT_KNOWN, RunWords


@dataclass(frozen=True)
class ArchiveFacts:
    """Of the table `images`: rows that repeat the bytes of another, rows in a group of near duplicates, and the days of
    the first and the last modification (YYYY-MM-DD); None where the files do not say."""

    exact_copies: int | None = None
    near_duplicates: int | None = None
    modified: tuple[str, str] | None = None


@dataclass(frozen=True)
class _Sheet:
    words: RunWords
    tables: Sequence[TableFiles]
    archive: ArchiveFacts


def datasheet(words: RunWords, tables: Sequence[TableFiles], archive: ArchiveFacts) -> str:
    """The document as Markdown with tables (GitHub flavour); the same for the same run and version of facelib."""
    sheet = _Sheet(words, tables, archive)
    run = words.data.run
    lines = [
        f"# Datasheet of the archive in run {md(run.run_id)}",
        md(
            f"Filled by facelib {run.versions.get('facelib', '')} from a run that began at {run.started_at}. It "
            "describes an archive of face photographs as that run found it, and the tables the run made of it. Where "
            "it says that the owner must answer, the run has no way to know."
        ),
    ]
    for part, questions in QUESTIONS.items():
        lines.append(f"## {part}")
        for name, question in questions.items():
            answer = _ANSWERS.get(name)
            lines += [f"### {question}", *(answer(sheet) if answer else [_owner()])]
    return "\n\n".join(lines) + "\n"


def _owner(before: str = "") -> str:
    return f"{md(before)} *{NOT_KNOWN}*".strip()


def _purpose(sheet: _Sheet) -> list[str]:
    return [_owner(), md(f"The tables: {USE[0].lower()}{USE[1:]}")]


def _instances(sheet: _Sheet) -> list[str]:
    return [
        md(
            "Photographs, the faces detected on them, and clusters of faces that are likely of one person "
            "(identities). Each has a table."
        )
    ]


def _number(sheet: _Sheet) -> list[str]:
    rows = [(files.table.name, files.table.row, count(files.rows)) for files in sheet.tables]
    rejected = [(reason, count(n)) for reason, n in sheet.words.rejected.items()]
    found = [md(sheet.words.account), _table_rows(rows)]
    if rejected:
        found += [md("Rejected images by reason:"), grid(["reason", "images"], rejected)]
    return found


def _table_rows(rows: Sequence[tuple[str, str, str]]) -> str:
    return grid(["table", "one row per", "rows"], rows, "llr")


def _sample(sheet: _Sheet) -> list[str]:
    return [_owner("The run listed all objects under the location that it was given.")]


def _data(sheet: _Sheet) -> list[str]:
    return [
        md(
            "Photographs in the archive's own storage. Of each, the table images has size, format, measures, hashes "
            "and outcome; of each face, the table faces has box, landmarks, pose, measures and quality. All columns "
            "are described in croissant.json beside this file."
        )
    ]


def _labels(sheet: _Sheet) -> list[str]:
    words = sheet.words
    if not words.attributes and not words.has_subjects:
        return [md("No: the run had no labels.")]
    return [bullets([*words.labels(), *(["Verified people: keyed pseudonyms."] if words.has_subjects else [])])]


def _missing(sheet: _Sheet) -> list[str]:
    return [md(sheet.words.missing())]


def _relationships(sheet: _Sheet) -> list[str]:
    return [
        md(
            "Yes: which faces are on one image, which form a cluster, which images have the same bytes, which are near "
            "duplicates, and which pairs of faces are similar."
        ),
        *([bullets(found)] if (found := sheet.words.clustering()) else []),
    ]


def _splits(sheet: _Sheet) -> list[str]:
    return [
        md("The run makes none. An export keeps all faces of one cluster, or of one verified person, in one split.")
    ]


def _errors(sheet: _Sheet) -> list[str]:
    archive = sheet.archive
    found = [
        f"{text}: {count(n)}."
        for text, n in (
            ("Images that repeat the bytes of another", archive.exact_copies),
            ("Images in a group of near duplicates", archive.near_duplicates),
        )
        if n is not None
    ]
    found += [f"{text}." for text in sheet.words.losses()]
    return [bullets([*found, *sheet.words.gaps(), *sheet.words.limitations()])]


def _self_contained(sheet: _Sheet) -> list[str]:
    return [md("The tables are self-contained but for the photographs, which stay in the archive's own storage.")]


def _sensitive(sheet: _Sheet) -> list[str]:
    return [bullets(sensitive(sheet.words))]


def _subpopulations(sheet: _Sheet) -> list[str]:
    words = sheet.words
    if not words.attributes:
        return [md("No: the run had no labels, so nothing is known about groups of people.")]
    found = [
        md(
            "Yes. n, share of all units and its 95 % interval, by group; a withheld count is small, or a small one "
            "would follow from it."
        )
    ]
    for attribute in words.attributes:
        head = [attribute, *(UNIT_WORDS[unit] for unit in words.units(attribute))]
        rows = [(group, *cells) for group, cells in words.shares(attribute)]
        found += [grid(head, rows), md(f"Evenness of {attribute} (1: all groups equal): {words.evenness(attribute)}.")]
    return found


def _identifiable(sheet: _Sheet) -> list[str]:
    return [
        md(
            "Yes: photographs show faces, clusters say which are likely of one person, and paths may contain names. "
            "The tables themselves hold no picture and no embedding."
        )
    ]


def _acquired(sheet: _Sheet) -> list[str]:
    return [_owner(), md("All else in the tables was derived from the photographs by software; labels were given.")]


def _timeframe(sheet: _Sheet) -> list[str]:
    if sheet.archive.modified is None:
        return [_owner()]
    first, last = sheet.archive.modified
    days = f"on {first}" if first == last else f"between {first} and {last}"
    return [_owner(f"The objects were last modified {days}, which may be long after they were taken.")]


def _preprocessing(sheet: _Sheet) -> list[str]:
    return [bullets(preprocessing(sheet.words)), md(annotation(sheet.words))]


def _raw(sheet: _Sheet) -> list[str]:
    return [md("The archive is only read: its photographs stay as they are.")]


def _software(sheet: _Sheet) -> list[str]:
    run = sheet.words.data.run
    return [
        md("facelib, under the Apache License 2.0, with these versions and models:"),
        grid(["software or model", "version"], [*run.versions.items(), *run.models.items()], "ll"),
    ]


def _composition_impact(sheet: _Sheet) -> list[str]:
    biases = sheet.words.biases()
    if biases:
        return [md("What stated rules flag, each with its evidence, neither a verdict nor a cause:"), bullets(biases)]
    return [md("No rule flagged anything, which is no proof of balance. These were looked at:"), _looked_at(sheet)]


def _looked_at(sheet: _Sheet) -> str:
    return bullets(sheet.words.looked_at())


def _licence(sheet: _Sheet) -> list[str]:
    return [md(f"{LICENCE_NOT_STATED[0].upper()}{LICENCE_NOT_STATED[1:]}.")]


def _updated(sheet: _Sheet) -> list[str]:
    return [_owner("A run never changes; another run over the grown archive makes tables of its own.")]


_ANSWERS: dict[str, Callable[[_Sheet], list[str]]] = {
    "purpose": _purpose,
    "instances": _instances,
    "number": _number,
    "sample": _sample,
    "data": _data,
    "labels": _labels,
    "missing": _missing,
    "relationships": _relationships,
    "splits": _splits,
    "errors": _errors,
    "self_contained": _self_contained,
    "subpopulations": _subpopulations,
    "identifiable": _identifiable,
    "sensitive": _sensitive,
    "acquired": _acquired,
    "timeframe": _timeframe,
    "preprocessing": _preprocessing,
    "raw": _raw,
    "software": _software,
    "composition_impact": _composition_impact,
    "licence": _licence,
    "updated": _updated,
}
"""Questions that a run can answer, at least in part; all others are for the owner."""
