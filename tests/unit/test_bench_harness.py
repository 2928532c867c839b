"""The benchmark harness: sections of the results file, names, and sums of CPU time."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, results_file, timing

import facelib
from facelib.cli import bench_command
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

TWO_SECTIONS = """# Title

<!-- begin stages -->
old stages
<!-- end stages -->

between

<!-- begin kernel -->
old kernel
<!-- end kernel -->

after
"""


def test_a_section_is_replaced_and_all_else_kept() -> None:
    found = results_file.replace_section(TWO_SECTIONS, "stages", "new\nlines\n")
    assert found == TWO_SECTIONS.replace("old stages", "new\nlines")


def test_replacing_twice_changes_nothing_more() -> None:
    once = results_file.replace_section(TWO_SECTIONS, "kernel", "new")
    assert results_file.replace_section(once, "kernel", "new") == once


def test_a_missing_section_is_added_at_the_end() -> None:
    found = results_file.replace_section(TWO_SECTIONS, "spark", "tax")
    assert found == TWO_SECTIONS + "\n<!-- begin spark -->\ntax\n<!-- end spark -->\n"


def test_a_section_without_its_end_is_refused() -> None:
    with pytest.raises(ValueError, match="end stages"):
        results_file.replace_section("<!-- begin stages -->\nold", "stages", "new")


def test_record_makes_the_file_and_keeps_other_sections(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    results_file.record("stages", "first", path)
    results_file.record("kernel", "second", path)
    results_file.record("stages", "third", path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "first" not in text
    assert text.index("third") < text.index("second")


def test_section_names_place_versions_and_command() -> None:
    result = results_file.Result("Caption", ("what", "how", "figure"), (("a", "b", "1"),), ("a note",), text_columns=2)
    text = results_file.section("stages", [result], ["numpy"])
    assert f"numpy {np.__version__}" in text
    assert results_file.cpu_model() in text
    assert "`facelib bench stages`" in text
    table = "| what | how | figure |\n| --- | --- | ---: |\n| a | b | 1 |\n\n- a note"
    assert text.endswith(f"**Caption**\n\n{table}")


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'stage'.*stages, spark, kernel, clusters"):
        harness.chosen(["kernel", "stage"], None)


def test_all_benchmarks_need_the_photographs_to_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = harness.chosen([], tmp_path)
    assert {"stages", "spark", "clusters", "quality", "faults", "growth"} <= set(everything)
    needy = {"clusters", "quality", "identification", "normalisation", "group_tails", "partial_labels"}
    needy |= {"biased_draws"}
    assert harness.chosen([], None) == [n for n in everything if n not in needy]
    assert "planted" in everything
    told = capsys.readouterr().out
    assert "clusters needs the photographs of lfw_dev" in told
    assert "quality needs the photographs of lfw_dev" in told


def test_a_name_given_twice_runs_once() -> None:
    assert harness.chosen(["kernel", "stages", "kernel"], None) == ["kernel", "stages"]


def test_photographs_are_found_below_the_given_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACELIB_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="FACELIB_DATA"):
        harness.photographs()
    (tmp_path / "lfw_dev" / "images").mkdir(parents=True)
    assert harness.photographs() == tmp_path / "lfw_dev"


def test_command_passes_the_exit_code_of_the_harness(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench_command.command(argparse.Namespace(benchmark=["nothing"])) == ConfigError.exit_code
    assert "choose from stages, spark, kernel, clusters" in capfd.readouterr().err


def test_command_without_a_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facelib, "__file__", str(tmp_path / "facelib" / "__init__.py"))
    with pytest.raises(ConfigError, match="source checkout"):
        bench_command.command(argparse.Namespace(benchmark=[]))


def test_interleaved_warms_up_once_and_turns_the_order() -> None:
    calls: list[str] = []
    alternatives = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = timing.interleaved(alternatives, 3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_stopwatch_adds_up_by_name() -> None:
    watch = timing.Stopwatch()
    assert [watch.time("double", lambda x: 2 * x, i) for i in range(3)] == [0, 2, 4]
    assert watch.calls == {"double": 3}


def _burn(seconds: float) -> None:
    while time.process_time() < seconds:
        pass


def test_tree_cpu_counts_a_child_that_has_ended() -> None:
    before = timing.tree_cpu_seconds()
    child = multiprocessing.get_context("fork").Process(target=_burn, args=(0.3,))
    child.start()
    child.join()
    assert timing.tree_cpu_seconds() - before >= 0.28


def test_tree_cpu_leaves_out_what_it_is_told_to() -> None:
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_burn_then_wait, args=(0.3, send))
    child.start()
    try:
        receive.recv()
        assert child.pid in timing.child_pids(multiprocessing.current_process().pid or 0)
        without = timing.tree_cpu_seconds({child.pid or 0})
        assert timing.tree_cpu_seconds() - without >= 0.28
    finally:
        child.kill()
        child.join()


def _burn_then_wait(seconds: float, send: multiprocessing.connection.Connection) -> None:
    _burn(seconds)
    send.send(None)
    time.sleep(60)
