"""Do the rows of a run add up? Every listed object and every detected face must be accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facelib.reasons import ImageReason

ROLES = ("core", "attached", "noise")
"""What becomes of a face; every face has exactly one role."""


@dataclass(frozen=True)
class Conservation:
    """The account of one run, in rows.

    listed: objects listed; ok: images with status `ok`; rejected: images by reason;
    faces: rows of the faces table; roles: faces by role; balanced: nothing is lost, doubled or
    unexplained; problems: one sentence for each thing that does not add up.
    """

    listed: int
    ok: int
    rejected: dict[str, int]
    faces: int
    roles: dict[str, int]
    balanced: bool
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def conserve(
    n_listed: int,
    status_reason_counts: Mapping[tuple[str, str | None], int],
    sum_n_faces: int,
    n_face_rows: int,
    role_counts: Mapping[str, int],
    duplicate_rows: int = 0,
) -> Conservation:
    """Check that listed = ok + Σ rejected by reason, and that every detected face has exactly one role.

    n_listed: objects listed. status_reason_counts: rows of `images` by (status, reason).
    sum_n_faces: Σ n_faces over `images`. n_face_rows: rows of `faces`. role_counts: rows of
    `clusters` by role. duplicate_rows: rows beyond the first with the same key, over the three
    tables; they are a problem even where they make up for lost rows. Never raises: the caller
    decides what an unbalanced account means.
    """
    counts = {(str(s), None if r is None else str(r)): int(n) for (s, r), n in status_reason_counts.items() if n}
    ok = sum(n for (status, _), n in counts.items() if status == "ok")
    reasons = {r: n for (s, r), n in counts.items() if s == "rejected" and r is not None}
    order = [str(r) for r in ImageReason]
    rejected = {r: reasons[r] for r in (*order, *sorted(set(reasons) - set(order))) if r in reasons}
    roles = {role: int(role_counts.get(role, 0)) for role in ROLES}
    n_rows, n_roles = sum(counts.values()), int(sum(role_counts.values()))
    problems = _row_problems(counts, order)
    if n_rows != n_listed:
        problems.append(f"{n_listed} objects were listed but images has {n_rows} rows.")
    if sum_n_faces != n_face_rows:
        problems.append(f"n_faces of images adds up to {sum_n_faces} but faces has {n_face_rows} rows.")
    if n_roles != n_face_rows:
        problems.append(f"faces has {n_face_rows} rows but {n_roles} faces have a role.")
    unknown = sum(int(n) for role, n in role_counts.items() if role not in ROLES)
    if unknown:
        problems.append(f"{unknown} faces have a role other than {', '.join(ROLES)}.")
    if duplicate_rows:
        problems.append(f"{duplicate_rows} rows repeat the key of another row.")
    return Conservation(n_listed, ok, rejected, n_face_rows, roles, not problems, problems)


def _row_problems(counts: Mapping[tuple[str, str | None], int], reasons: list[str]) -> list[str]:
    """Image rows whose status and reason contradict each other."""
    problems = []
    for (status, reason), n in counts.items():
        if n < 0:
            problems.append(f"the count of images with status {status} and reason {reason} is negative ({n}).")
        elif status not in ("ok", "rejected"):
            problems.append(f"{n} images have the unknown status {status}.")
        elif status == "ok" and reason is not None:
            problems.append(f"{n} images are ok and yet carry the reason {reason}.")
        elif status == "rejected" and reason is None:
            problems.append(f"{n} images are rejected without a reason.")
        elif status == "rejected" and reason not in reasons:
            problems.append(f"{n} images are rejected for the unknown reason {reason}.")
    return problems
