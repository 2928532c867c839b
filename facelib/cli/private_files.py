"""Files that hold faces or embeddings of people: where they may lie, and writing them for their owner alone."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from facelib.errors import ConfigError, StorageError
from facelib.storage.uris import scheme_of


def private_path(given: str, option: str) -> Path:
    """The absolute local path of `option`, links resolved.

    ConfigError when it names object storage, or lies inside the output of a run: that is for analysts, who may not
    see faces, names or embeddings.
    """
    if scheme_of(given) not in (None, "file") or not given:
        raise ConfigError(f"{option} {given} is not a local path: it holds personal data, so write it locally")
    path = Path(os.path.realpath(given.removeprefix("file://")))
    for folder in (path, *path.parents):
        is_output = (folder / "CURRENT").is_file() or (folder / "store" / "extracted").is_dir()
        if is_output or (folder / "run.json").is_file():
            raise ConfigError(f"{option} {given} lies inside the output of a run, {folder}: choose a place outside")
    return path


def write_private(path: Path, data: bytes) -> None:
    """Write the file whole, readable by its owner only (mode 0600). StorageError when that fails."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): check its folder") from None
