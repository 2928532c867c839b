"""Writes `DATA_DICTIONARY.md` and records the published versions: `python -m schemas.dictionary`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facelib.reasons import FACE_REASON_MEANING, IMAGE_REASON_MEANING
from schemas.contract import Table
from schemas.tables import TABLES

HERE = Path(__file__).parent
DICTIONARY = HERE / "DATA_DICTIONARY.md"
PUBLISHED = HERE / "published_versions.json"

_HEAD = """# Data dictionary

Made from `schemas/tables.py` by `python -m schemas.dictionary`; do not edit by hand.

Times are UTC microseconds. `*_px` are pixels of the upright (EXIF-applied) full-size image. Missing is
null, never 0, "" or NaN. Light tables lie in `runs/<run_id>/<table>/*.parquet`; `CURRENT` holds the
run to read. Store tables (marked) lie under `store/`, are shared by all runs, and are not for analysts.
"""


def dictionary() -> str:
    """The whole document as Markdown."""
    reasons = _reasons("images", IMAGE_REASON_MEANING) + _reasons("faces", FACE_REASON_MEANING)
    return _HEAD + "".join(_section(t) for t in TABLES.values()) + reasons


def _reasons(table: str, meanings: Mapping[Any, str]) -> str:
    rows = "".join(f"| `{reason}` | {meaning} |\n" for reason, meaning in meanings.items())
    return f"\n## Reasons in `{table}`\n\n| reason | meaning |\n|---|---|\n{rows}"


def _section(table: Table) -> str:
    kind = "store table" if table.is_store else "table"
    lines = [
        f"\n## `{table.name}` ({kind}, version {table.version})\n",
        f"One row per {table.row}. Key: {', '.join(f'`{k}`' for k in table.key)}.\n",
        "| column | type | unit | null | allowed | meaning |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.type} | {c.unit} | {'yes' if c.nullable else 'no'} | {c.allowed} | {c.meaning} |"
        for c in table
    ]
    return "\n".join(lines) + "\n"


def published() -> dict[str, dict[str, str]]:
    """table → version → fingerprint of every version ever recorded."""
    recorded: dict[str, dict[str, str]] = json.loads(PUBLISHED.read_text("utf-8")) if PUBLISHED.exists() else {}
    return recorded


def unrecorded_changes(tables: dict[str, Table], recorded: dict[str, dict[str, str]]) -> list[str]:
    """One sentence per table whose columns changed although its version did not."""
    problems = []
    for t in tables.values():
        known = recorded.get(t.name, {}).get(str(t.version))
        if known is not None and known != t.fingerprint():
            problems.append(f"table {t.name} changed but is still version {t.version}: step its version")
    return problems


def main() -> int:
    """Write both files; refuses when a column changed without a version step."""
    recorded = published()
    problems = unrecorded_changes(TABLES, recorded)
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    for t in TABLES.values():
        recorded.setdefault(t.name, {})[str(t.version)] = t.fingerprint()
    PUBLISHED.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n", "utf-8")
    DICTIONARY.write_text(dictionary(), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
