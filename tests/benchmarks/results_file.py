"""Results as Markdown, and the marked sections of RESULTS.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEADING = """# Benchmark results

`facelib bench [NAME…]` rewrites the section of each benchmark it runs. CPU times are of one machine: compare the
ratios, which come from interleaved repetitions in one run.
"""


@dataclass(frozen=True)
class Result:
    """One table of a benchmark: a caption, columns, rows of text, and remarks below it.

    The first `text_columns` columns are words, the rest figures.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1

    def markdown(self) -> str:
        """The caption in bold, the table (words left, figures right), and the notes as a list."""
        rules = ["---" if i < self.text_columns else "---:" for i in range(len(self.columns))]
        lines = [f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in (self.columns, rules, *self.rows))]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)


def section(name: str, results: Sequence[Result], packages: Sequence[str]) -> str:
    """The text of a benchmark's section: when, where, with what, and its tables."""
    facts = [
        f"- {datetime.now(UTC):%Y-%m-%d}, {cpu_model()}, {len(os.sched_getaffinity(0))} cores, "
        f"load average {os.getloadavg()[0]:.1f}",
        f"- {versions(packages)}",
        f"- command: `facelib bench {name}`",
    ]
    return "\n\n".join([f"## {name}", "\n".join(facts), *(r.markdown() for r in results)])


def replace_section(text: str, name: str, body: str) -> str:
    """`text` with the section between the marks of `name` replaced by `body`, or added at the end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{body.strip()}\n{end}"
    before, mark, rest = text.partition(begin)
    if not mark:
        return f"{text.rstrip()}\n\n{block}\n" if text.strip() else f"{block}\n"
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"the section {name} begins but does not end: add the line {end}")
    return f"{before}{block}{after}"


def record(name: str, body: str, path: Path = RESULTS) -> None:
    """Rewrite the benchmark's section of the results file, which is made when it is missing."""
    text = path.read_text(encoding="utf-8") if path.is_file() else _HEADING
    path.write_text(replace_section(text, name, body), encoding="utf-8")


def cpu_model() -> str:
    """Name of the processor, as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def versions(packages: Sequence[str]) -> str:
    """Python and the installed versions of the packages."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return " · ".join([f"Python {platform.python_version()}", *found])
