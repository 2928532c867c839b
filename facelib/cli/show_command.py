"""`facelib clusters show`: contact sheets of clusters, as local HTML pages, for people entitled to see the faces."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facelib.cli.private_files import private_path, write_private
from facelib.errors import ConfigError, StorageError
from facelib.storage import open_store
from facelib.storage.uris import bytes_of

if TYPE_CHECKING:
    from facelib.spark.cluster_sheets import RunFaces

_MARKER = ".facelib-contact-sheets"


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.reports.contact_sheet import INDEX, cluster_page, index_page, page_name
    from facelib.spark.cluster_sheets import RunFaces
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.run_record import RunRecord, published_or_named
    from facelib.spark.tables import Place

    if sum(map(bool, (arguments.clusters, arguments.largest, arguments.suspicious))) != 1:
        raise ConfigError("say which clusters to show: their ids, or --largest N, or --suspicious N")
    config = resolve_config(arguments.config, arguments.assignments)
    store = open_store(arguments.output, config.storage)
    folder = _checked_folder(arguments.to, store.root)
    record = RunRecord.load(store, published_or_named(store, arguments.run))
    run = RunFaces(record, Place(store.root, config.storage))
    ids, chosen = _chosen(arguments, run)
    sheets = run.sheets(ids)
    _make_folder(folder)
    for sheet in sheets:
        write_private(folder / page_name(sheet.cluster_id), cluster_page(sheet, record.run_id).encode())
    write_private(folder / INDEX, index_page(sheets, record.run_id, chosen).encode())
    sys.stdout.write(f"{len(sheets)} clusters of run {record.run_id}: {chosen}\n{folder / INDEX}\n")
    return 0


def _checked_folder(to: str, output: str) -> Path:
    """The folder for the pages; ConfigError where they must not lie."""
    folder = private_path(to, "--to")
    if output.startswith("file://"):
        root = Path(os.path.realpath(os.fsdecode(bytes_of(output.removeprefix("file://") or "/"))))
        if folder.is_relative_to(root):
            raise ConfigError(f"--to {to} lies inside --output, which analysts read: choose a place outside")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--to {to} is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARKER).is_file():
        raise ConfigError(f"--to {to} holds files that are not contact sheets: name a new or empty folder")
    return folder


def _make_folder(folder: Path) -> None:
    """Make the folder (mode 0700), or empty it of earlier pages."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for page in folder.glob("*.html"):
            page.unlink()
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error.strerror}): choose another --to") from None
    write_private(folder / _MARKER, b"")


def _chosen(arguments: argparse.Namespace, run: RunFaces) -> tuple[list[str], str]:
    """The clusters to show, in order, and in words which they are."""
    from facelib.clusters.cohesion import least_alike

    if arguments.suspicious:
        found = least_alike(list(run.mean_of), list(run.mean_of.values()), arguments.suspicious)
        if not found:
            raise ConfigError(f"run {run.run_id} has no cluster of two faces or more: none can be of several people")
        return found, "those most likely of several people first: the lowest mean similarity of all pairs"
    sizes = run.sizes
    if arguments.largest:
        return sorted(sizes, key=lambda c: (-sizes[c], c))[: arguments.largest], "the largest first"
    missing = [c for c in arguments.clusters if c not in sizes]
    if missing:
        raise ConfigError(f"run {run.run_id} has no cluster {', '.join(missing)}: see cluster_id in its table clusters")
    return list(dict.fromkeys(arguments.clusters)), "as named"
