"""The parser of all commands, and what their arguments have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from facelib.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as ConfigError: one sentence, no usage dump.

    A command that does something by itself may have actions besides; one that comes first takes all other arguments.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.besides: dict[str, Parser] = {}

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        texts = list(sys.argv[1:] if args is None else args)
        if texts and texts[0] in self.besides:
            return self.besides[texts[0]].parse_known_args(texts[1:], namespace)
        return super().parse_known_args(texts, namespace)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def add_command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    """A command that works on an output, with the settings of all commands."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    _on_output(command)
    return command


def add_action(command: argparse.ArgumentParser, name: str, text: str) -> argparse.ArgumentParser:
    """An action of a command of `add_command` that does something else by itself; `action` is its name, or None."""
    if not isinstance(command, Parser):
        raise TypeError(f"{command.prog} can have no actions besides: make it with add_command")
    action = Parser(prog=f"{command.prog} {name}", description=text, allow_abbrev=False)
    _on_output(action)
    action.set_defaults(action=name)
    command.set_defaults(action=None)
    command.besides[name] = action
    command.epilog = "; ".join(f"{a.prog}: {a.description}" for a in command.besides.values())
    return action


def _on_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", required=True, metavar="URI", help="folder or s3:// prefix for store and runs")
    add_settings(command)


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
