"""Entry point: parse, run, and turn an error into one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from facelib.cli.arguments import build_parser
from facelib.errors import ConfigError, FacelibError
from facelib.threads import ONE_THREAD

CRASH = 1
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (0 done, 1 crash, 2 arguments, 3 gate, 4 degenerate, 5 input)."""
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    try:
        arguments = build_parser().parse_args(argv)
        _set_up_log(getattr(arguments, "log", None))
        from facelib.cli.commands import COMMANDS

        return COMMANDS[arguments.command](arguments)
    except FacelibError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to go on where it stopped", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CRASH
    except Exception as error:  # the one place where a fault of ours becomes an exit code
        logging.getLogger("facelib").error(traceback.format_exc())
        return _fail(f"crashed with {type(error).__name__}; the log has the details", CRASH)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"facelib: {message}\n")
    return code


def _set_up_log(file: str | None) -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    log = logging.getLogger("facelib")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers.clear()
    handler: logging.Handler
    if file:
        try:
            handler = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"log file {file} cannot be written: {error.strerror}") from None
    elif not sys.stderr.isatty():
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)


if __name__ == "__main__":
    raise SystemExit(main())
