"""`facelib demo`: a planted archive, an S3 server on this machine, one run, and what it found."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from facelib.demo.archive import ATTRIBUTES, ArchivePlan, write_archive
from facelib.demo.findings import Finding, findings, queries, read_planted
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
        code = _run(images, archive / "labels.csv", output)
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


def _run(images: str, labels: Path, output: Path) -> int:
    from facelib.cli.main import main

    command_line = [
        "run", "--images", images, "--labels", str(labels), "--label-key", "file", "--subject", "subject",
        "--attributes", ",".join(ATTRIBUTES), "--output", str(output), "--log", str(output.parent / "demo.log"),
    ]  # fmt: skip
    _say("facelib " + " ".join(command_line))
    return main(command_line)


def _report(archive: Path, output: Path, prefix: str, reads: int) -> int:
    run_id = open_store(str(output)).get("CURRENT").decode().strip()
    lines = findings(read_planted(archive), output, run_id, prefix)
    _say(f"\nimages read from S3 in this run: {reads} (a second demo reads none)\n")
    _say(_table(lines))
    for title, sql in queries(output, run_id):
        _say(f"\n-- {title}\n{sql}\n{_answer(sql)}")
    failed = [line.what for line in lines if line.agrees is False]
    if failed:
        _say(f"\nnot as planted: {', '.join(failed)}")
    return 1 if failed else 0


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
