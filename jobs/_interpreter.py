"""Lets `path/to/venv/bin/spark-submit` work without activating the environment first."""

import importlib.util
import os
import sys
from pathlib import Path


def use_installed_facelib() -> None:
    """Run again under the interpreter that spark-submit's pyspark is installed for, when facelib is missing here.

    spark-submit starts `python3` from the PATH unless PYSPARK_PYTHON is set; SPARK_HOME points to its pyspark,
    which lies in <environment>/lib/pythonX.Y/site-packages.
    """
    if importlib.util.find_spec("facelib") or "SPARK_HOME" not in os.environ:
        return
    candidate = Path(os.environ["SPARK_HOME"]).resolve().parents[3] / "bin" / "python"
    if candidate.is_file() and os.environ.get("FACELIB_INTERPRETER") != str(candidate):
        os.environ["FACELIB_INTERPRETER"] = os.environ["PYSPARK_PYTHON"] = str(candidate)
        os.execv(candidate, [str(candidate), *sys.argv])
