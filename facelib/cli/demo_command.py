"""`facelib demo`: a planted archive, an S3 server on this machine, one run, and what it found."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from facelib.demo.archive import ATTRIBUTES, ArchivePlan, write_archive
from facelib.demo.archive_plan import REFERENCE
from facelib.demo.findings import Finding, findings, headlines, queries, read_planted
from facelib.demo.s3_server import S3Server
from facelib.errors import ConfigError
from facelib.ids import settings_digest
from facelib.storage import open_store

_BUCKET, _PREFIX = "demo", "portraits"
_ARCHIVE_VERSION = 1


def command(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 when the pipeline ran and every promised finding holds."""
    folder = Path(arguments.output)
    archive = _archive(folder, ArchivePlan(identities=arguments.identities, seed=arguments.seed))
    output = folder / "output"
    with S3Server() as server:
        os.environ.update(server.env())
        server.create_bucket(_BUCKET)
        n = server.upload_folder(archive / "images", _BUCKET, _PREFIX)
        images = f"s3://{_BUCKET}/{_PREFIX}"
        _say(f"{n} objects in {images} at {server.endpoint_url}\n")
        code = _run(images, archive / "labels.csv", _settings(folder), output)
        reads = server.counts().get("GET_OBJECT", 0)
    if code:
        return code
    return _report(archive, output, f"{images}/", reads)


def _archive(folder: Path, plan: ArchivePlan) -> Path:
    """The rendered archive; made once for each plan."""
    archive = folder / f"archive-{settings_digest([_ARCHIVE_VERSION, plan], 12)}"
    if (archive / "planted.json").is_file():
        _say(f"archive of rendered portraits: {archive} (kept from an earlier demo)")
        return archive
    shutil.rmtree(archive, ignore_errors=True)
    _say(f"rendering portraits of {plan.identities} planted identities …")
    write_archive(archive, plan, processes=os.cpu_count() or 1)
    return archive


def _settings(folder: Path) -> Path:
    """The settings of the run: what is declared about groups. Nobody is protected: the people are invented."""
    lines = ["[audit]", "min_cell = 0", "", "[audit.categories]"]
    lines += [f"{a} = {json.dumps(list(shares))}" for a, shares in REFERENCE.items()]
    for attribute, shares in REFERENCE.items():
        lines += ["", f"[audit.reference.{attribute}]", *(f"{json.dumps(g)} = {s}" for g, s in shares.items())]
    file = folder / "demo.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _run(images: str, labels: Path, settings: Path, output: Path) -> int:
    from facelib.cli.main import main

    command_line = [
        "run", "--images", images, "--labels", str(labels), "--label-key", "file", "--subject", "subject",
        "--attributes", ",".join(ATTRIBUTES), "--config", str(settings), "--output", str(output),
        "--log", str(output.parent / "demo.log"),
    ]  # fmt: skip
    _say("facelib " + " ".join(command_line))
    return main(command_line)


def _report(archive: Path, output: Path, prefix: str, reads: int) -> int:
    run_id = open_store(str(output)).get("CURRENT").decode().strip()
    planted = read_planted(archive)
    lines = findings(planted, output, run_id, prefix)
    lines.append(headlines(planted, REFERENCE, _report_findings(output)))
    _say(f"\nimages read from S3 in this run: {reads} (a second demo reads none)\n")
    _say(_table(lines))
    for title, sql in queries(output, run_id):
        _say(f"\n-- {title}\n{sql}\n{_answer(sql)}")
    failed = [line.what for line in lines if line.agrees is False]
    if failed:
        _say(f"\nnot as planted: {', '.join(failed)}")
    return 1 if failed else 0


def _report_findings(output: Path) -> list[str]:
    from facelib.reports.html.page import findings as of_report
    from facelib.spark.evaluation import FinishedRun
    from facelib.spark.report_stage import report_input
    from facelib.storage import StorageSettings

    run = FinishedRun.open(str(output), None, StorageSettings())
    return [finding.sentence for finding in of_report(report_input(run))]


def _table(lines: list[Finding]) -> str:
    marks = {True: "✓", False: "✗", None: " "}
    widths = [max(len(getattr(line, c)) for line in lines) for c in ("what", "planted")]
    rows = [f"  {'':{widths[0]}}  {'planted':{widths[1]}}  found"]
    rows += [
        f"{marks[line.agrees]} {line.what:{widths[0]}}  {line.planted:{widths[1]}}  {line.found}" for line in lines
    ]
    return "\n".join(rows)


def _answer(sql: str) -> str:
    try:
        import duckdb
    except ImportError:
        raise ConfigError('duckdb is missing: pip install "facelib[dev]"') from None
    return str(duckdb.sql(sql))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
