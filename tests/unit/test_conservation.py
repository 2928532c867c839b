"""The account of a run: a balanced one, and every way to fail."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from facelib.reasons import ImageReason
from facelib.reports.conservation import Conservation, conserve

pytestmark = pytest.mark.unit

IMAGES: dict[tuple[str, str | None], int] = {
    ("rejected", "no_face"): 3,
    ("ok", None): 10,
    ("rejected", "empty"): 2,
}
ROLES = {"noise": 4, "core": 7, "attached": 1}


def account(
    n_listed: int = 15,
    images: Mapping[tuple[str, str | None], int] = IMAGES,
    sum_n_faces: int = 12,
    n_face_rows: int = 12,
    roles: Mapping[str, int] = ROLES,
    duplicate_rows: int = 0,
) -> Conservation:
    return conserve(n_listed, images, sum_n_faces, n_face_rows, roles, duplicate_rows)


def test_balanced_run() -> None:
    """15 listed = 10 ok + 2 empty + 3 without a face; 12 faces = 7 core + 1 attached + 4 noise."""
    result = account()
    assert result == Conservation(
        15, 10, {"empty": 2, "no_face": 3}, 12, {"core": 7, "attached": 1, "noise": 4}, True, []
    )
    assert list(result.rejected) == ["empty", "no_face"]


def test_account_goes_through_json() -> None:
    reasons: dict[tuple[str, str | None], int] = {("rejected", reason): 1 for reason in ImageReason}
    result = account(n_listed=10 + len(ImageReason), images={("ok", None): 10, **reasons})
    assert result.balanced
    assert json.loads(json.dumps(result.as_dict())) == {
        "listed": 10 + len(ImageReason),
        "ok": 10,
        "rejected": {reason.value: 1 for reason in ImageReason},
        "faces": 12,
        "roles": {"core": 7, "attached": 1, "noise": 4},
        "balanced": True,
        "problems": [],
    }


def test_nothing_listed_is_balanced() -> None:
    result = conserve(0, {}, 0, 0, {})
    assert result.balanced
    assert result.rejected == {}
    assert result.roles == {"core": 0, "attached": 0, "noise": 0}


def test_groups_of_zero_rows_are_no_problem() -> None:
    assert account(images={**IMAGES, ("odd", None): 0}).balanced


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_listed": 16}, "16 objects were listed but images has 15 rows."),
        ({"n_listed": 14}, "14 objects were listed but images has 15 rows."),
        ({"sum_n_faces": 13}, "n_faces of images adds up to 13 but faces has 12 rows."),
        ({"roles": {"core": 7, "noise": 4}}, "faces has 12 rows but 11 faces have a role."),
        ({"roles": {"core": 7, "noise": 4, "other": 1}}, "1 faces have a role other than core, attached, noise."),
        ({"duplicate_rows": 2}, "2 rows repeat the key of another row."),
        ({"images": {("ok", None): 14, ("ok", "empty"): 1}}, "1 images are ok and yet carry the reason empty."),
        ({"images": {("ok", None): 14, ("rejected", None): 1}}, "1 images are rejected without a reason."),
        (
            {"images": {("ok", None): 14, ("rejected", "bored"): 1}},
            "1 images are rejected for the unknown reason bored.",
        ),
        ({"images": {("ok", None): 14, ("pending", None): 1}}, "1 images have the unknown status pending."),
        (
            {"images": {("ok", None): 16, ("rejected", "empty"): -1}},
            "the count of images with status rejected and reason empty is negative (-1).",
        ),
    ],
)
def test_one_fault_is_one_problem(changes: dict[str, object], problem: str) -> None:
    result = account(**changes)  # type: ignore[arg-type]
    assert result.problems == [problem]
    assert not result.balanced


def test_lost_face_made_up_by_a_doubled_one_is_noticed() -> None:
    assert account().balanced
    assert not account(duplicate_rows=1).balanced


def test_all_faults_are_reported_together() -> None:
    result = account(n_listed=1, sum_n_faces=1, roles={}, duplicate_rows=1)
    assert len(result.problems) == 4
