"""The demo's comparison of the report's headlines with what was planted."""

from __future__ import annotations

from typing import Any

import pytest

from facelib.demo.findings import headlines

pytestmark = pytest.mark.unit

REFERENCE = {"skin_tone": {"light": 0.5, "dark": 0.5}, "glasses": {"no": 0.5, "yes": 0.5}}
OFF = [
    "skin_tone = light: 90.0 % of images, 1.80 times its reference share of 50.0 %.",
    "skin_tone = dark: 10.0 % of images, 0.200 times its reference share of 50.0 %.",
]
ABSENT = "1 of 4 combinations of skin_tone and glasses has no image: dark with yes."
TONE = "skin_tone and brightness of the face go together: V = 0.534."


def planted(people: int = 60) -> dict[str, Any]:
    """A tenth of the people is dark and has no glasses; half of the others have some."""
    rows = {}
    for k in range(people):
        is_dark = k % 10 == 0
        rows[f"s{k}"] = {"skin_tone": "dark" if is_dark else "light", "glasses": "no" if is_dark or k % 2 else "yes"}
    counted = {a: {g: sum(row[a] == g for row in rows.values()) for g in shares} for a, shares in REFERENCE.items()}
    return {"identities": people, "subjects": rows, "identities_per_category": counted}


def test_all_that_is_planted_and_nothing_else() -> None:
    found = headlines(planted(), REFERENCE, [*OFF, ABSENT, TONE])
    assert found.agrees is True
    assert found.planted == "2 groups off their share, 1 combination absent"
    assert "nothing else" in found.found


@pytest.mark.parametrize("lost", [OFF[0], ABSENT, TONE])
def test_a_planted_thing_that_is_not_told(lost: str) -> None:
    assert headlines(planted(), REFERENCE, [s for s in [*OFF, ABSENT, TONE] if s != lost]).agrees is False


@pytest.mark.parametrize(
    "more",
    [
        "glasses = no: 60.0 % of images, 1.20 times its reference share of 50.0 %.",
        "2 of 4 combinations of skin_tone and glasses have no image: dark with yes; light with yes.",
        "12 % of the images have no label of glasses; what they show is not known.",
    ],
)
def test_a_headline_that_was_not_planted(more: str) -> None:
    assert headlines(planted(), REFERENCE, [*OFF, ABSENT, TONE, more]).agrees is False


def test_few_people_promise_nothing() -> None:
    assert headlines(planted(20), REFERENCE, []).agrees is None
