"""`croissant.json`: the tables of a run in the vocabulary of MLCommons Croissant and its extension for responsible AI.

Croissant 1.1 (http://mlcommons.org/croissant/1.1) and RAI 1.0 (http://mlcommons.org/croissant/RAI/1.0). Paths are
relative to the file, which lies in the folder of the run, so that nothing is said of where that is. What the run cannot
know is absent (creator, url, citation, date of publication, annotators) or said not to be stated (licence).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facelib.reports.run_protocol import USE, annotation, preprocessing, sensitive
from facelib.reports.run_words import LICENCE_NOT_STATED, RunWords
from schemas.contract import Column, Table, Type

PARQUET = "application/x-parquet"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_DATA_TYPES = {
    Type.STRING: "sc:Text",
    Type.INT64: "cr:Int64",
    Type.FLOAT32: "cr:Float32",
    Type.FLOAT64: "cr:Float64",
    Type.BOOL: "sc:Boolean",
    Type.TIMESTAMP: "sc:DateTime",
    Type.LIST_FLOAT32: "cr:Float32",
    Type.LIST_STRING: "sc:Text",
}
_LISTS = (Type.LIST_FLOAT32, Type.LIST_STRING)
_CROISSANT_TERMS = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The context that appendix 1 of the specification recommends, and RAI."""


@dataclass(frozen=True)
class FilePart:
    """A file of a table: path below the folder of the run, SHA-256 in hex, bytes and rows."""

    path: str
    sha256: str
    size_bytes: int
    rows: int


@dataclass(frozen=True)
class TableFiles:
    """The files of a table of the run, and the columns of its contract that they hold."""

    table: Table
    columns: tuple[Column, ...]
    parts: tuple[FilePart, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(part.rows for part in self.parts)


def croissant(words: RunWords, tables: Sequence[TableFiles]) -> str:
    """The document as JSON-LD text; the same for the same run and version of facelib."""
    run = words.data.run
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"facelib-run-{run.run_id}",
        "description": (
            f"Tables that facelib {run.versions.get('facelib', '')} made of an archive of face photographs, for its "
            f"audit. {words.account} The photographs themselves are not part of it, nor are face chips and "
            "embeddings."
        ),
        "conformsTo": list(CONFORMS_TO),
        "license": {"@type": "sc:CreativeWork", "name": LICENCE_NOT_STATED},
        "dateCreated": run.started_at,
        "keywords": ["face photographs", "audit", "demographic balance", "identity clusters"],
        **_responsible_ai(words),
        "distribution": [entry for files in tables for entry in _distribution(files)],
        "recordSet": [_record_set(files) for files in tables],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _responsible_ai(words: RunWords) -> dict[str, Any]:
    run = words.data.run
    found: dict[str, Any] = {
        "rai:dataCollection": (
            f"facelib listed an existing archive of photographs and read what was new to it. {words.account} How, "
            "where, when and by whom the photographs were taken and collected is not known to the run."
        ),
        "rai:dataCollectionType": ["Secondary Data analysis"],
        "rai:dataCollectionMissingData": words.missing(),
        "rai:dataCollectionRawData": (
            "Photographs of faces in the archive's own storage; the table images has a row for each of them, whatever "
            "became of it."
        ),
        "rai:dataPreprocessingProtocol": preprocessing(words),
        "rai:dataAnnotationProtocol": annotation(words),
        "rai:machineAnnotationTools": [
            f"facelib {run.versions.get('facelib', '')}",
            *(f"{part}: {model}" for part, model in run.models.items()),
        ],
        "rai:dataBiases": words.biases() or [_nothing_flagged(words)],
        "rai:dataLimitations": [*words.gaps(), *words.limitations()],
        "rai:personalSensitiveInformation": sensitive(words),
        "rai:dataUseCases": [
            USE,
        ],
    }
    if words.attributes:
        found["rai:annotationsPerItem"] = "At most one value for each image, attribute and source."
    return found


def _nothing_flagged(words: RunWords) -> str:
    looked = "; ".join(words.looked_at())
    return f"No rule flagged anything, which is no proof of balance. Rules: {looked}."


def _distribution(files: TableFiles) -> list[dict[str, Any]]:
    """A FileObject for each file, and a FileSet of them where a table has several."""
    entries: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": part.path,
            "name": part.path,
            "description": f"{part.rows:,} rows of the table {files.table.name}.",
            "contentUrl": part.path,
            "contentSize": f"{part.size_bytes} B",
            "encodingFormat": PARQUET,
            "sha256": part.sha256,
        }
        for part in files.parts
    ]
    if len(files.parts) > 1:
        entries.append(
            {
                "@type": "cr:FileSet",
                "@id": _file_set(files.table),
                "name": _file_set(files.table),
                "description": f"All files of the table {files.table.name}.",
                "encodingFormat": PARQUET,
                "includes": [part.path for part in files.parts],
            }
        )
    return entries


def _file_set(table: Table) -> str:
    return f"{table.name}-files"


def _record_set(files: TableFiles) -> dict[str, Any]:
    table, parts = files.table, files.parts
    source = {"fileSet": {"@id": _file_set(table)}} if len(parts) > 1 else {"fileObject": {"@id": parts[0].path}}
    names = [column.name for column in files.columns]
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"One row per {table.row}. {files.rows:,} rows; version {table.version} of the table.",
        "key": [{"@id": f"{table.name}/{name}"} for name in table.key if name in names],
        "field": [_field(table, column, source) for column in files.columns],
    }


def _field(table: Table, column: Column, source: dict[str, Any]) -> dict[str, Any]:
    field = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": f"{table.name}/{column.name}",
        "description": describe(column),
        "dataType": _DATA_TYPES[column.type],
        "source": {**source, "extract": {"column": column.name}},
    }
    return field | ({"isArray": True, "arrayShape": "-1"} if column.type in _LISTS else {})


def describe(column: Column) -> str:
    """Meaning, unit and range of a column, as the data dictionary has them."""
    unit = f" Unit: {column.unit}." if column.unit else ""
    allowed = f" Values: {column.allowed}." if column.allowed else ""
    return f"{column.meaning}.{unit}{allowed}{' Nullable.' if column.nullable else ''}"
