"""Configuration: precedence, conversion by declared type, and problems that are all reported at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from facelib.config import config_dict, config_hash, load_config
from facelib.errors import ConfigError
from facelib.spark.pipeline_config import PipelineConfig

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Reading:
    threads: int = 4
    timeout_s: float = 1.5
    region: str | None = None
    is_strict: bool = False
    formats: tuple[str, ...] = ("jpeg",)
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads is {self.threads}: use at least 1")


@dataclass(frozen=True)
class Audit:
    name: str = "audit"
    floor: float | None = None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    reading: Reading = field(default_factory=Reading)
    audit: Audit = field(default_factory=Audit)


def toml(folder: Path, text: str) -> Path:
    path = folder / "facelib.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_without_file_and_assignments() -> None:
    assert load_config(Config) == Config()
    assert load_config(PipelineConfig) == PipelineConfig()


def test_assignment_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    file = toml(tmp_path, "[reading]\nthreads = 7\ntimeout_s = 2\n")
    config = load_config(Config, file, ["reading.threads=9"])
    assert config.reading == Reading(threads=9, timeout_s=2.0)
    assert isinstance(config.reading.timeout_s, float)


def test_the_last_assignment_of_a_key_wins() -> None:
    assert load_config(Config, None, ["reading.threads=2", "reading.threads=3"]).reading.threads == 3


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("reading.timeout_s=3", "timeout_s", 3.0),
        ("reading.timeout_s=1e-3", "timeout_s", 0.001),
        ("reading.region=eu-west-1", "region", "eu-west-1"),
        ('reading.region="eu west"', "region", "eu west"),
        ("reading.region=none", "region", None),
        ("reading.region=", "region", None),
        ("reading.is_strict=true", "is_strict", True),
        ("reading.formats=png, webp", "formats", ("png", "webp")),
        ('reading.formats=["png"]', "formats", ("png",)),
        ("reading.formats=png", "formats", ("png",)),
        ("reading.thresholds=[0.5, 0.6, 1]", "thresholds", (0.5, 0.6, 1.0)),
        ("reading.thresholds=0.5, 0.6, 1", "thresholds", (0.5, 0.6, 1.0)),
        ("reading.region=a=b", "region", "a=b"),
        (" reading.threads = 8", "threads", 8),
    ],
)
def test_assignments_take_the_declared_type(assignment: str, key: str, value: object) -> None:
    found = getattr(load_config(Config, None, [assignment]).reading, key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "assignment",
    [
        "reading.threads=1.5",
        "reading.threads=true",
        "reading.threads=many",
        "reading.timeout_s=true",
        "reading.timeout_s=soon",
        "reading.is_strict=1",
        "reading.region=3",
        "reading.thresholds=[0.5, 0.6]",
        "reading.thresholds=0.5,0.6",
        "reading.thresholds=0.5,0.6,x",
        "reading.formats=[1]",
        "reading.formats=3",
        "audit.categories=[1]",
        "audit.categories={gender = [1]}",
        "audit.reference={gender = {m = 'half'}}",
        "audit.floor=low",
    ],
)
def test_a_wrong_type_names_the_key(assignment: str) -> None:
    name = assignment.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^--set {name}: .* is not "):
        load_config(Config, None, [assignment])


def test_nested_mappings(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        '[audit.categories]\ngender = ["F", "M"]\nage = "0-2, 3-9"\n[audit.reference.gender]\nF = 1\nM = 0.5\n',
    )
    audit = load_config(PipelineConfig, file).audit
    assert audit.categories == {"gender": ("F", "M"), "age": ("0-2", "3-9")}
    assert audit.reference == {"gender": {"F": 1.0, "M": 0.5}}
    inline = load_config(PipelineConfig, None, ["audit.reference={gender = {F = 0.5, M = 0.5}}"])
    assert inline.audit.reference == {"gender": {"F": 0.5, "M": 0.5}}


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    file = toml(tmp_path, 'top = 1\n[reading]\nthreads = "x"\nthread = 1\n[readings]\nthreads = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_config(Config, file, ["audit.floor=high", "nonsense", "audit.name.first=x", "=3"])
    message = str(caught.value)
    expected = [
        "top is not a table; write [top]",
        "[reading] threads: 'x' is not int",
        "[reading] thread: section reading has no key thread; its keys are formats, is_strict,",
        "[readings] threads: there is no section readings; sections are audit, reading",
        "--set audit.floor: 'high' is not",
        "--set nonsense: write it as section.key=value",
        "--set audit.name.first: section audit has no key name.first",
        "--set =3: write it as section.key=value",
    ]
    for part in expected:
        assert part in message
    assert message.count("; ") >= len(expected) - 1
    assert "\n" not in message


def test_limits_of_a_section_are_reported_with_the_rest() -> None:
    with pytest.raises(ConfigError, match=r"--set audit\.x: .*section reading: threads is 0: use at least 1"):
        load_config(Config, None, ["reading.threads=0", "audit.x=1"])


@pytest.mark.parametrize(
    ("assignment", "field"),
    [
        ("cluster.floor=2", "floor"),
        ("storage.attempts=0", "attempts"),
        ("detect.min_face_px=3", "min_face_px"),
        ("export.weight_cap=0.5", "weight_cap"),
        ("extract.read_threads=0", "read_threads"),
    ],
)
def test_every_section_reports_its_limits(assignment: str, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        load_config(PipelineConfig, None, [assignment])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml does not exist"):
        load_config(Config, tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(Config, toml(tmp_path, "[reading\n"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Config, tmp_path)
    binary = tmp_path / "latin.toml"
    binary.write_bytes(b'[audit]\nname = "\xe9"\n')
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(Config, binary)


def test_hash_and_dict_follow_the_resolved_values(tmp_path: Path) -> None:
    written = toml(tmp_path, "[reading]\nthreads = 4\n")
    assert config_hash(load_config(Config, written)) == config_hash(Config())
    changed = load_config(Config, None, ["reading.threads=5"])
    assert config_hash(changed) != config_hash(Config())
    assert config_dict(changed)["reading"]["threads"] == 5


def test_every_default_of_the_pipeline_can_be_written_back_as_an_assignment() -> None:
    """Scalars, as a user would type them after looking at run.json."""
    config = PipelineConfig()
    assignments = [
        f"{section}.{f.name}={str(value).lower() if isinstance(value, bool) or value is None else value}"
        for section, settings in vars(config).items()
        for f in dataclasses.fields(settings)
        if isinstance(value := getattr(settings, f.name), str | int | float | None)
    ]
    assert len(assignments) > 25
    assert load_config(PipelineConfig, None, assignments) == config
