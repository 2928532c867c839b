"""The parser of all commands, and what their arguments have in common."""

from __future__ import annotations

import argparse
from typing import NoReturn

from facelib.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as ConfigError: one sentence, no usage dump."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def add_command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    """A command that works on an output, with the settings of all commands."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.add_argument("--output", required=True, metavar="URI", help="folder or s3:// prefix for store and runs")
    add_settings(command)
    return command


def add_settings(command: argparse.ArgumentParser) -> None:
    """Configuration and log."""
    command.add_argument("--config", metavar="FILE", help="TOML file, one table per section")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="assignments",
        help="override one setting; may be repeated",
    )
    command.add_argument(
        "--log", metavar="FILE", help="append JSON lines here (default: standard error when it is not a terminal)"
    )


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def count(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names from a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
