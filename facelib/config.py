"""Configuration: one frozen section per stage; defaults < TOML file < `--set section.key=value`.

Unknown keys and wrong types are errors, and all of them are reported together.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facelib.errors import ConfigError
from facelib.ids import settings_digest

T = typing.TypeVar("T")
Assignments = Sequence[str]


def load_config(
    cls: type[T],
    file: Path | None = None,
    assignments: Assignments = (),
    base: Mapping[str, Mapping[str, Any]] | None = None,
) -> T:
    """An instance of `cls` (a dataclass whose fields are section dataclasses).

    `base` holds values in place of defaults, as `config_dict` gives them; `file` is TOML with one table per
    section; `assignments` are "section.key=value" strings, which win. Values are read as TOML, and as plain
    text where that fails. Raises ConfigError with one line per problem.
    """
    problems: list[str] = []
    wanted: dict[tuple[str, str], tuple[Any, str]] = {}
    for section, table in (base or {}).items():
        known = {key: value for key, value in table.items() if value is not None}
        wanted.update({(section, key): (value, f"the run's [{section}] {key}") for key, value in known.items()})
    origin = str(file) if file else ""
    for section, table in (_read_toml(file) if file else {}).items():
        if not isinstance(table, dict):
            problems.append(f"{origin}: {section} is not a table; write [{section}] and its keys below it")
            continue
        wanted.update({(section, key): (value, f"{origin}: [{section}] {key}") for key, value in table.items()})
    for text in assignments:
        name, equals, raw = text.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            problems.append(f"--set {text}: write it as section.key=value")
            continue
        wanted[section, key] = (_parse(raw), f"--set {name.strip()}")
    config = _build(cls, wanted, problems)
    if problems:
        raise ConfigError("; ".join(problems))
    return config


def config_dict(config: Any) -> dict[str, Any]:
    """The resolved configuration as JSON-like values, for run.json."""
    return dataclasses.asdict(config)


def config_hash(config: Any) -> str:
    """Digest of the resolved configuration."""
    return settings_digest(config)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"config file {file} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {file} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"config file {file} cannot be read: {error.strerror}") from None


def _parse(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _build(cls: type[T], wanted: Mapping[tuple[str, str], tuple[Any, str]], problems: list[str]) -> T:
    hints = typing.get_type_hints(cls)
    chosen: dict[str, dict[str, Any]] = {name: {} for name in hints}
    for (section, key), (value, where) in wanted.items():
        if section not in hints:
            problems.append(f"{where}: there is no section {section}; sections are {', '.join(sorted(hints))}")
            continue
        keys = typing.get_type_hints(hints[section])
        if key not in keys:
            problems.append(f"{where}: section {section} has no key {key}; its keys are {', '.join(sorted(keys))}")
            continue
        converted, ok = _convert(value, keys[key])
        if ok:
            chosen[section][key] = converted
        else:
            problems.append(f"{where}: {value!r} is not {_type_name(keys[key])}")
    sections = {}
    for name, section_type in hints.items():
        try:
            sections[name] = section_type(**chosen[name])
        except (ValueError, ConfigError) as error:
            problems.append(f"section {name}: {error}")
    return cls(**sections) if not problems else typing.cast(T, None)


def _convert(value: Any, wanted: Any) -> tuple[Any, bool]:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and value in ("", "none"):
            return None, True
        for option in arguments:
            converted, ok = (None, False) if option is type(None) else _convert(value, option)
            if ok:
                return converted, True
        return None, False
    if origin is tuple:
        if isinstance(value, str):
            value = [part.strip() if arguments[0] is str else _parse(part) for part in value.split(",")]
        if not isinstance(value, list) or (arguments[-1] is not ... and len(value) != len(arguments)):
            return None, False
        kinds = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
        parts = [_convert(v, kind) for v, kind in zip(value, kinds, strict=True)]
        return tuple(v for v, _ in parts), all(ok for _, ok in parts)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, str])):
        if not isinstance(value, dict):
            return None, False
        items = {k: _convert(v, arguments[1]) for k, v in value.items()}
        return {k: v for k, (v, _) in items.items()}, all(ok for _, ok in items.values())
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value), True
    if wanted is int and isinstance(value, bool):
        return None, False
    return value, isinstance(value, wanted)


def _type_name(wanted: Any) -> str:
    return str(getattr(wanted, "__name__", wanted)) if typing.get_origin(wanted) is None else str(wanted)
