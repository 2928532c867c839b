"""Categories: declared, found or cut from numbers, and what becomes of values outside them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from facelib.errors import ConfigError
from facelib.reports.declared import (
    MAX_CATEGORIES,
    MAX_UNDECLARED,
    category_codes,
    cut,
    declared_categories,
    edge_categories,
    undeclared_counts,
    undeclared_values,
)

pytestmark = pytest.mark.unit


def test_categories_are_declared_ones_in_order_or_sorted_values() -> None:
    present = pa.table({"gender": ["M", None, "M"], "age": ["30", "4", None], "race": pa.nulls(3, pa.string())})
    assert declared_categories(present, {"gender": ("X", "M", "F")}) == {
        "gender": ("X", "M", "F"),
        "age": ("30", "4"),
        "race": (),
    }
    assert declared_categories(present)["gender"] == ("M",)
    assert declared_categories(present.slice(0, 0)) == {"gender": (), "age": (), "race": ()}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"gender": ()}, "empty or repeat one"),
        ({"gender": ("M", "M")}, "empty or repeat one"),
        ({"gendre": ("M",)}, r"none of the attributes \(gender\)"),
    ],
)
def test_declarations_that_do_not_fit(declared: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        declared_categories(pa.table({"gender": ["M", None, "M", "F"]}), declared)


def test_identifier_is_not_taken_for_an_attribute() -> None:
    values = [f"v{i}" for i in range(MAX_CATEGORIES + 1)]
    with pytest.raises(ConfigError, match="identifier"):
        declared_categories(pa.table({"serial": values}))
    assert len(declared_categories(pa.table({"serial": values}), {"serial": values})["serial"]) == len(values)


@pytest.mark.parametrize("kind", ["plain", "large", "dictionary", "chunked"])
def test_codes(kind: str) -> None:
    plain = pa.array(["b", None, "a", "b"])
    column = {
        "plain": plain,
        "large": plain.cast(pa.large_string()),
        "dictionary": plain.dictionary_encode(),
        "chunked": pa.chunked_array([plain[:1], plain[1:]]),
    }[kind]
    codes = category_codes(column, ["a", "b", "absent"])
    assert codes.tolist() == [1, 3, 0, 1]
    assert codes.dtype == np.int64


def test_codes_of_nothing_and_of_all_missing() -> None:
    assert category_codes(pa.chunked_array([], pa.string()), ["a"]).tolist() == []
    assert category_codes(pa.nulls(2), []).tolist() == [0, 0]


def test_values_outside_the_declaration_count_as_missing_and_are_named() -> None:
    column = pa.array(["M", None, "Q", "F", "Q"])
    assert category_codes(column, ["M", "F"]).tolist() == [0, 2, 2, 1, 2]
    assert undeclared_values(column, ["M", "F"]) == {"Q": 2}
    assert undeclared_values(pa.nulls(2, pa.string()), []) == {}
    values = [f"v{i}" for i in range(MAX_UNDECLARED + 1)]
    with pytest.raises(ConfigError, match=f"has {len(values)} values that are none of its 1 categories"):
        declared_categories(pa.table({"gender": values}), {"gender": ("F",)})


def test_numbers_are_cut_at_declared_edges() -> None:
    """Bins hold their lower edge; text that is no finite number stays, to be reported."""
    ages = pa.table({"age": ["17.9", "18", "64.99", "65", "1e3", None, "old", "nan", "-3"], "other": ["18"] * 9})
    found = cut(ages, {"age": (18, 65), "absent": (1,)})
    names = edge_categories((18, 65))
    assert names == ("<18", "[18, 65)", "≥65")
    expected = [names[0], names[1], names[1], names[2], names[2], None, "old", "nan", names[0]]
    assert found.column("age").to_pylist() == expected
    assert found.column("other").to_pylist() == ["18"] * 9
    assert declared_categories(found.select(["age"]), None, {"age": (18, 65)}) == {"age": names}


def test_counted_values_outside_the_categories() -> None:
    values = {"g": {"M": 3, "Q": 2}, "h": {"a": 1}, "other": {"x": 9}}
    assert undeclared_counts(values, {"g": ("M", "F"), "h": ("a",), "k": ("b",)}) == {"g": {"Q": 2}}
