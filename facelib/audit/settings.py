"""What a user says about the audit: the section `[audit]` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from facelib.errors import ConfigError

PLAN_TARGETS = ("cells", "identities", "reference")


@dataclass(frozen=True)
class AuditSettings:
    """Declarations, limits and targets of the audit.

    categories: all categories that could occur, in order, by attribute. edges: ascending inner edges by attribute that
    cut its numbers into categories. reference: the share of every category to compare with, by attribute. triples:
    sets of three attributes, each written "a,b,c", counted besides all pairs. min_cell: smaller counts, but 0, are
    withheld. A ratio outside flag_below … flag_above is flagged when its interval excludes 1.
    error_fmr: global false match rates that fix the thresholds of `error_rates`; error_faces: at most so many faces of
    drawn subjects are compared. plan_target: what `sampling_plan` aims at: equal cells, equal cells with equal
    identities inside each, or the reference shares; plan_tolerance: a cell may lack this part of its target.
    """

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    triples: tuple[str, ...] = ()
    min_cell: int = 0
    flag_below: float = 0.8
    flag_above: float = 1.25
    error_fmr: tuple[float, ...] = (1e-3, 1e-4)
    error_faces: int = 20_000
    plan_target: str = "cells"
    plan_tolerance: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.flag_below <= 1 <= self.flag_above:
            raise ConfigError("audit.flag_below and audit.flag_above must lie on either side of 1")
        if self.min_cell < 0 or self.error_faces < 2:
            raise ConfigError("audit.min_cell must be 0 or more, and audit.error_faces 2 or more")
        if not all(0 < rate < 1 for rate in self.error_fmr):
            raise ConfigError("audit.error_fmr must be rates between 0 and 1, such as 1e-3")
        if self.plan_target not in PLAN_TARGETS:
            raise ConfigError(f"audit.plan_target is {self.plan_target}: give one of {', '.join(PLAN_TARGETS)}")
        if not 0.001 <= self.plan_tolerance < 1:
            raise ConfigError("audit.plan_tolerance must be at least 0.001 and less than 1, such as 0.2")
        for attribute, edges in self.edges.items():
            if not edges or any(a >= b for a, b in pairwise(edges)):
                raise ConfigError(f"audit.edges of {attribute} must be one or more ascending numbers")
            if attribute in self.categories:
                raise ConfigError(f"{attribute} has both audit.categories and audit.edges: give one")
        for triple in self.triples:
            if len(set(names_of(triple))) != 3:
                raise ConfigError(f'audit.triples has "{triple}": write three different attributes as "a,b,c"')


def names_of(attributes: str) -> tuple[str, ...]:
    """Attribute names of a comma-separated list."""
    return tuple(name.strip() for name in attributes.split(",") if name.strip())
