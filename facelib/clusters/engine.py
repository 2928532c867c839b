"""Where the heavy steps of clustering run: here, or in the tasks of a cluster of machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

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
        """`function(arrays, item)` for each item, in order. `arrays` are large and the same for all; the function must
        not change them, and must be one of a module."""
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


LOCAL = LocalEngine()


def blocks(n: int, rows: int) -> list[tuple[int, int]]:
    """Consecutive ranges of at most `rows` that cover 0 … n."""
    return [(first, min(first + rows, n)) for first in range(0, n, rows)]
