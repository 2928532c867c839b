"""The environment that peers are installed in: made on first use, beside the project's own, whose packages it sees."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.archives import BUILD

REQUIREMENTS = Path(__file__).with_name("peers.txt")
VENV = BUILD / "peers-venv"


@dataclass(frozen=True)
class PeerVenv:
    """Its interpreter, and why a peer is not in it, by name of the peer."""

    python: Path
    missing: Mapping[str, str]


def groups(text: str) -> dict[str, list[str]]:
    """The requirements of each peer, from the text of peers.txt: they follow a line `# [name]`."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("# ["):
            name = line[3:].rstrip("]")
        elif requirement := line.partition("#")[0].strip():
            found.setdefault(name, []).append(requirement)
    return found


def peer_venv(wanted: Sequence[str], quick: bool, folder: Path = VENV) -> PeerVenv:
    """The environment with the wanted peers; those not installed yet are, unless `quick`."""
    required = groups(REQUIREMENTS.read_text(encoding="utf-8"))
    marker = folder / "installed.json"
    installed = json.loads(marker.read_text()) if marker.is_file() else {}
    missing = {}
    for name in wanted:
        if installed.get(name) == required[name]:
            continue
        reason = "not installed yet, and a quick run installs nothing" if quick else _install(folder, required[name])
        if reason:
            missing[name] = reason
            continue
        installed[name] = required[name]
        marker.write_text(json.dumps(installed, indent=1))
    return PeerVenv(_python(folder), missing)


def _install(folder: Path, requirements: Sequence[str]) -> str:
    """Why the packages could not be installed, or an empty text."""
    if not _python(folder).is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        site = next(folder.glob("lib/python3*/site-packages"))
        (site / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (site / "wandb.py").touch()  # img2dataset imports it, and calls it only on demand
    pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", *requirements]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    return _first_error(done.stderr) if done.returncode else ""


def _first_error(text: str) -> str:
    lines = [line.removeprefix("ERROR: ").strip() for line in text.splitlines() if line.startswith("ERROR: ")]
    return lines[0] if lines else "pip failed without an error message"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
