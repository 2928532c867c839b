"""Model files that come inside Python packages: found without importing them, converted once, cached.

The packages (`mtcnn`, `face_recognition_models`) are never imported: one needs TensorFlow, the other
`pkg_resources`. Their data files are located, compared with a pinned SHA-256, converted to plain
arrays, and kept as `.npz` under `$FACELIB_CACHE` (default `~/.cache/facelib`). A cached file is used
only while its own digest matches the one recorded beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Arrays = dict[str, npt.NDArray[np.generic]]


def cache_dir() -> Path:
    """Folder of converted models; `$FACELIB_CACHE` overrides the default."""
    return Path(os.environ.get("FACELIB_CACHE") or Path.home() / ".cache" / "facelib")


def package_file(package: str, relative: str) -> Path:
    """Path of a data file of an installed package, without importing the package.

    Raises ConfigError when the package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root) / relative
        if path.is_file():
            return path
    raise ConfigError(f"model file {relative} of package {package} is missing: pip install {package}")


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def cached_arrays(
    name: str, source: Path, sha256: str, convert: Callable[[Path], Mapping[str, npt.NDArray[np.generic]]]
) -> Arrays:
    """Arrays that `convert` makes of `source`, from the cache when it is intact.

    `name` should carry the version of the conversion ("mtcnn-v1"). `sha256` is the pinned digest of
    `source`; ConfigError when the file differs. Safe when many processes convert at once: each
    writes a temporary file and renames it.
    """
    target = cache_dir() / f"{name}-{sha256[:16]}.npz"
    recorded = target.with_suffix(".sha256")
    if target.is_file() and recorded.is_file() and recorded.read_text().strip() == sha256_of(target):
        return _load(target)
    found = sha256_of(source)
    if found != sha256:
        raise ConfigError(
            f"model file {source.name} has SHA-256 {found[:12]}…, expected {sha256[:12]}…: reinstall its package"
        )
    arrays = {k: np.ascontiguousarray(v) for k, v in convert(source).items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    with os.fdopen(fd, "wb") as f:
        np.savez(f, **arrays)
    made = sha256_of(Path(temporary))
    os.replace(temporary, target)
    _write_text(recorded, made)
    return arrays


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as f:
        return {k: f[k] for k in f.files}


def _write_text(path: Path, text: str) -> None:
    fd, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(fd, "w") as f:
        f.write(text)
    os.replace(temporary, path)
