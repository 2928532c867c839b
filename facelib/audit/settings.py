"""What a user says about the audit: the section `[audit]` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from facelib.errors import ConfigError
from schemas.label_tables import MEASURES

PLAN_TARGETS = ("cells", "identities", "reference")
NUISANCES = (*MEASURES, "source", "camera")
"""What makes faces hard besides who they are."""


@dataclass(frozen=True)
class AuditSettings:
    """Declarations, limits and targets of the audit.

    categories: all categories that could occur, in order, by attribute. edges: ascending inner edges by attribute that
    cut its numbers into categories. reference: the share of every category to compare with, by attribute; uniform:
    attributes whose categories are compared with equal shares. triples: sets of three attributes, each written "a,b,c",
    counted besides all pairs. nuisances: which of NUISANCES attributes are compared with. min_cell: smaller counts, but
    0, are withheld, with those that would tell them; so are counts that changed by less than min_change (by default
    min_cell) since the run published last. A ratio outside flag_below … flag_above is flagged when its interval
    excludes 1.
    error_fmr: global false match rates that fix the thresholds of `error_rates`; error_faces: at most so many faces of
    drawn subjects are compared. plan_target: what `sampling_plan` aims at: equal cells, equal cells with equal
    identities inside each, or the reference shares; plan_tolerance: a cell may lack this part of its target.
    label_plan_path: a file of `facelib balance --label-budget` whose images have been labelled since.
    """

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    uniform: tuple[str, ...] = ()
    triples: tuple[str, ...] = ()
    nuisances: tuple[str, ...] = NUISANCES
    min_cell: int = 10
    min_change: int | None = None
    flag_below: float = 0.8
    flag_above: float = 1.25
    error_fmr: tuple[float, ...] = (1e-3, 1e-4)
    error_faces: int = 20_000
    plan_target: str = "cells"
    plan_tolerance: float = 0.2
    plan_evenness: float = 0.95
    plan_rate: float = 0.02
    plan_width: float = 0.02
    plan_closed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_plan_path: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.flag_below <= 1 <= self.flag_above:
            raise ConfigError("audit.flag_below and audit.flag_above must lie on either side of 1")
        if min(self.min_cell, self.min_change or 0) < 0 or self.error_faces < 2:
            raise ConfigError("audit.min_cell and min_change must be 0 or more, and audit.error_faces 2 or more")
        if not all(0 < rate < 1 for rate in self.error_fmr):
            raise ConfigError("audit.error_fmr must be rates between 0 and 1, such as 1e-3")
        if self.plan_target not in PLAN_TARGETS:
            raise ConfigError(f"audit.plan_target is {self.plan_target}: give one of {', '.join(PLAN_TARGETS)}")
        if not 0.001 <= self.plan_tolerance < 1:
            raise ConfigError("audit.plan_tolerance must be at least 0.001 and less than 1, such as 0.2")
        if not (0 <= self.plan_evenness <= 1 and 0 <= self.plan_rate <= 1 and 0 < self.plan_width < 1):
            raise ConfigError("audit.plan_evenness, plan_rate and plan_width must lie in 0–1, the width inside")
        for attribute, closed in self.plan_closed.items():
            unknown = set(closed) - set(self.categories.get(attribute, closed))
            if unknown:
                raise ConfigError(f"audit.plan_closed names {min(unknown)}, which is no category of {attribute}")
        for attribute, edges in self.edges.items():
            if not edges or any(a >= b for a, b in pairwise(edges)):
                raise ConfigError(f"audit.edges of {attribute} must be one or more ascending numbers")
            if attribute in self.categories:
                raise ConfigError(f"{attribute} has both audit.categories and audit.edges: give one")
        for attribute in self.uniform:
            if attribute in self.reference:
                raise ConfigError(f"{attribute} has both audit.reference and audit.uniform: give one")
        for name in self.nuisances:
            if name not in NUISANCES:
                raise ConfigError(f"audit.nuisances names {name}: choose among {', '.join(NUISANCES)}")
        for triple in self.triples:
            if len(set(names_of(triple))) != 3:
                raise ConfigError(f'audit.triples has "{triple}": write three different attributes as "a,b,c"')

    @property
    def triple_sets(self) -> list[tuple[str, ...]]:
        """The triples as attribute names."""
        return [names_of(triple) for triple in self.triples]

    def references(self, categories: Mapping[str, Sequence[str]]) -> dict[str, Mapping[str, float]]:
        """The reference shares of every attribute that has some, equal ones included."""
        equal = {a: dict.fromkeys(categories[a], 1 / len(categories[a])) for a in self.uniform if a in categories}
        return {**equal, **self.reference}


def names_of(attributes: str) -> tuple[str, ...]:
    """Attribute names of a comma-separated list."""
    return tuple(name.strip() for name in attributes.split(",") if name.strip())
