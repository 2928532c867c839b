"""`facelib clusters`: finds the module of the action."""

from __future__ import annotations

import argparse
import importlib

ACTIONS = {"diff": "facelib.cli.diff_command", "show": "facelib.cli.show_command"}


def command(arguments: argparse.Namespace) -> int:
    """`facelib clusters diff` and `facelib clusters show`."""
    code: int = importlib.import_module(ACTIONS[arguments.action]).command(arguments)
    return code
