"""Where the heavy steps of clustering run: here, or in the tasks of a cluster of machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from facelib.clusters.components import components
from facelib.clusters.space import IntArray

Array = npt.NDArray[Any]
T = TypeVar("T")


class Engine(Protocol):
    """Runs a function over items. Results do not depend on the engine: the items alone decide what is computed."""

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Array], T], Sequence[Array]],
        items: Sequence[T],
        arrays: Mapping[str, Array],
    ) -> list[list[Array]]:
        """`function(arrays, item)` for each item, in order. `arrays` are large and the same for all; neither the
        function nor, afterwards, the caller may change them. The function must be one of a module."""
        ...

    def components(self, n: int, u: IntArray, v: IntArray) -> IntArray:
        """Connected component of each of n nodes, numbered from 0 by the smallest node; edges u[i], v[i]."""
        ...


class LocalEngine:
    """One item after the other, in this process."""

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Array], T], Sequence[Array]],
        items: Sequence[T],
        arrays: Mapping[str, Array],
    ) -> list[list[Array]]:
        """As `Engine.run`."""
        return [list(function(arrays, item)) for item in items]

    def components(self, n: int, u: IntArray, v: IntArray) -> IntArray:
        """As `Engine.components`."""
        return components(n, u, v)


LOCAL = LocalEngine()


def blocks(n: int, rows: int) -> list[tuple[int, int]]:
    """Consecutive ranges of at most `rows` that cover 0 … n."""
    return [(first, min(first + rows, n)) for first in range(0, n, rows)]
