"""Model files inside packages: found without an import, checked against their pin, cached while intact."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facelib.assets import cache_dir, cached_arrays, package_file, sha256_of
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

Arrays = Mapping[str, npt.NDArray[np.generic]]


class Converter:
    """Counts its calls; the array it makes is the file's bytes."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> Arrays:
        self.calls += 1
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        return {"raw": raw, "reversed": raw[::-1]}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACELIB_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(200)) * 700)
    return path


def pin(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sha256_agrees_with_hashlib_on_the_whole_content(source: Path) -> None:
    assert sha256_of(source) == pin(source)


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACELIB_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.setenv("FACELIB_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "facelib"


def test_package_file_is_found_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pinned_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "models" / "a.bin").write_bytes(b"x")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_file("pinned_weights", "models/a.bin") == folder / "models" / "a.bin"
    assert "pinned_weights" not in sys.modules
    with pytest.raises(ConfigError, match=r"models/b\.bin .*pinned_weights.*pip install pinned_weights"):
        package_file("pinned_weights", "models/b.bin")
    with pytest.raises(ConfigError, match="pip install no_such_package_here"):
        package_file("no_such_package_here", "a.bin")


def test_converts_once_and_then_reads_the_cache(source: Path) -> None:
    convert = Converter()
    made = cached_arrays("w-v1", source, pin(source), convert)
    again = cached_arrays("w-v1", source, pin(source), convert)
    assert convert.calls == 1
    raw = np.frombuffer(source.read_bytes(), np.uint8)
    for arrays in (made, again):
        np.testing.assert_array_equal(arrays["raw"], raw)
        np.testing.assert_array_equal(arrays["reversed"], raw[::-1])
        assert arrays["reversed"].flags.c_contiguous
    assert not list(cache_dir().glob("*.part"))


def test_the_cache_serves_without_its_source(source: Path) -> None:
    digest = pin(source)
    cached_arrays("w-v1", source, digest, Converter())
    source.unlink()
    assert len(cached_arrays("w-v1", source, digest, Converter())["raw"]) == 140_000


def test_another_conversion_version_or_pin_is_another_file(source: Path) -> None:
    convert = Converter()
    cached_arrays("w-v1", source, pin(source), convert)
    cached_arrays("w-v2", source, pin(source), convert)
    assert convert.calls == 2
    source.write_bytes(b"other")
    assert cached_arrays("w-v1", source, pin(source), convert)["raw"].tobytes() == b"other"


@pytest.mark.parametrize("damage", ["flip a bit", "truncate", "drop the digest"])
def test_a_damaged_cache_is_made_again(source: Path, damage: str) -> None:
    convert = Converter()
    cached_arrays("w-v1", source, pin(source), convert)
    (file,) = cache_dir().glob("*.npz")
    data = bytearray(file.read_bytes())
    if damage == "flip a bit":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    else:
        file.with_suffix(".sha256").unlink()
    arrays = cached_arrays("w-v1", source, pin(source), convert)
    assert convert.calls == 2
    np.testing.assert_array_equal(arrays["raw"], np.frombuffer(source.read_bytes(), np.uint8))
    cached_arrays("w-v1", source, pin(source), convert)
    assert convert.calls == 2


def test_a_file_that_is_not_the_pinned_one_is_refused(source: Path) -> None:
    convert = Converter()
    with pytest.raises(ConfigError, match=r"weights\.bin has SHA-256 .* expected 0{12}.*reinstall"):
        cached_arrays("w-v1", source, "0" * 64, convert)
    assert convert.calls == 0


def test_arrays_that_need_pickle_are_never_loaded(source: Path) -> None:
    """A cached file with objects, digest and all, must not be unpickled."""
    cached_arrays("w-v1", source, pin(source), Converter())
    (file,) = cache_dir().glob("*.npz")
    np.savez(file, raw=np.array([{"a": 1}], dtype=object))
    file.with_suffix(".sha256").write_text(pin(file))
    with pytest.raises(ValueError, match="allow_pickle"):
        cached_arrays("w-v1", source, pin(source), Converter())
