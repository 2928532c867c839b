"""What the run found, beside what was planted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facelib.clusters.agreement import bcubed_scores, pairwise_scores
from facelib.ids import face_id

Reference = Mapping[str, Mapping[str, float]]
FLAG_BELOW, FLAG_ABOVE = 0.8, 1.25
"""Defaults of `audit.flag_below` and `audit.flag_above`."""


@dataclass(frozen=True)
class Finding:
    """One line of the comparison; `agrees` is None where no exact agreement is promised."""

    what: str
    planted: str
    found: str
    agrees: bool | None = None


def read_run_table(output: Path, run_id: str, table: str) -> pa.Table:
    """A table of a run in a local folder."""
    return pa.concat_tables(pq.read_table(p) for p in sorted((output / "runs" / run_id / table).glob("*.parquet")))


def findings(planted: dict[str, Any], output: Path, run_id: str, prefix: str) -> list[Finding]:
    """Compare the run's tables with the plan. `prefix` is what an image's uri begins with before its name."""
    images = read_run_table(output, run_id, "images").to_pylist()
    by_name = {r["uri"].removeprefix(prefix): r for r in images}
    clusters = read_run_table(output, run_id, "clusters").to_pylist()
    return [
        Finding("images listed", str(planted["files"]), str(len(images)), planted["files"] == len(images)),
        _rejected(planted["rejected"], by_name),
        _portraits(planted["subject_of"], by_name),
        _readable(planted["unusual_but_readable"], by_name),
        _exact(planted["exact_duplicates"], by_name),
        _near(planted["near_duplicates"], by_name),
        *_identities(planted["subject_of"], by_name, clusters),
        _together(clusters),
    ]


def _rejected(expected: dict[str, str], by_name: dict[str, Any]) -> Finding:
    """Files planted to be rejected. Portraits without a detected face are counted apart."""
    found = {name: by_name[name]["reason"] or "ok" for name in expected}
    return Finding("damaged and faceless files", _counts(expected.values()), _counts(found.values()), found == expected)


def _portraits(subject_of: dict[str, str], by_name: dict[str, Any]) -> Finding:
    reasons = [by_name[name]["reason"] for name in subject_of]
    found = f"{reasons.count(None)} with a face, {reasons.count('no_face')} without"
    return Finding("portraits", str(len(reasons)), found, set(reasons) <= {None, "no_face"})


def _readable(names: dict[str, str], by_name: dict[str, Any]) -> Finding:
    ok = sum(by_name[name]["status"] == "ok" for name in names)
    return Finding("odd but readable files", str(len(names)), f"{ok} read", ok == len(names))


def _exact(pairs: list[dict[str, str]], by_name: dict[str, Any]) -> Finding:
    planted = {frozenset((p["original"], p["copy"])) for p in pairs}
    name_of = {r["image_id"]: name for name, r in by_name.items()}
    found = {frozenset((name, name_of[r["duplicate_of"]])) for name, r in by_name.items() if r["duplicate_of"]}
    return Finding("exact duplicates", str(len(planted)), str(len(found)), planted == found)


def _near(pairs: list[dict[str, str]], by_name: dict[str, Any]) -> Finding:
    groups = [
        (by_name[p["original"]]["near_duplicate_group"], by_name[p["copy"]]["near_duplicate_group"]) for p in pairs
    ]
    found = sum(a is not None and a == b for a, b in groups)
    return Finding("near duplicates", str(len(pairs)), f"{found} of them found")


def _identities(subject_of: dict[str, str], by_name: dict[str, Any], clusters: list[dict[str, Any]]) -> list[Finding]:
    cluster_of = {r["face_id"]: r["cluster_id"] or r["face_id"] for r in clusters}
    named = [(s, cluster_of.get(face_id(by_name[n]["image_id"], 0))) for n, s in subject_of.items()]
    known = [(s, c) for s, c in named if c is not None]
    truth, predicted = [s for s, _ in known], [c for _, c in known]
    found = {r["cluster_id"] for r in clusters if r["cluster_id"]}
    pairwise, bcubed = pairwise_scores(predicted, truth), bcubed_scores(predicted, truth)
    return [
        Finding("identities", str(len(set(subject_of.values()))), f"{len(found)} clusters"),
        Finding(
            "pairwise F of the clusters",
            "≥ 0.90",
            f"{pairwise.f1:.3f} (precision {pairwise.precision:.3f}, recall {pairwise.recall:.3f})",
            pairwise.f1 >= 0.90,
        ),
        Finding("BCubed F of the clusters", "", f"{bcubed.f1:.3f}"),
    ]


def headlines(planted: dict[str, Any], reference: Reference, sentences: list[str]) -> Finding:
    """The findings of the report, beside what was planted: groups whose share is off the reference, combinations of two
    groups that no portrait has, and skin tones that are painted and so seen in the brightness of faces.

    Promised from 60 people on; of fewer, intervals are too wide to tell.
    """
    off, absent = _off_reference(planted, reference), _absent_pairs(planted, reference)
    tone = [s for s in sentences if s.startswith("skin_tone") and "brightness of the face" in s]
    off_found = {g for g in off for s in sentences if s.startswith(f"{g}: ") and "its reference share" in s}
    absent_found = {p for p in absent for s in sentences if "no image:" in s and _names_pair(s, p)}
    explained = [s for s in sentences if "its reference share" in s and s.partition(":")[0] in off]
    explained += [s for s in sentences if "no image:" in s and s.partition(":")[2].count(" with ") == len(absent_found)]
    others = [s for s in sentences if s not in explained and s not in tone]
    found = f"{len(off_found)} groups, {len(absent_found)} absent, skin tone {'seen' if tone else 'not seen'}"
    more = "; nothing else" if not others else f"; also: {' '.join(others)}"
    agrees = off_found == off and absent_found == absent and bool(tone) and not others
    return Finding(
        "headlines of the report",
        f"{len(off)} groups off their share, {len(absent)} combination absent",
        found + more,
        agrees if planted["identities"] >= 60 else None,
    )


def _off_reference(planted: dict[str, Any], reference: Reference) -> set[str]:
    people = planted["identities"]
    return {
        f"{attribute} = {group}"
        for attribute, shares in reference.items()
        for group, share in shares.items()
        if not FLAG_BELOW <= planted["identities_per_category"][attribute].get(group, 0) / people / share <= FLAG_ABOVE
    }


def _absent_pairs(planted: dict[str, Any], reference: Reference) -> set[tuple[str, str]]:
    people = planted["subjects"].values()
    return {
        (first, second)
        for a, b in combinations(reference, 2)
        for first, second in product(reference[a], reference[b])
        if not any(row[a] == first and row[b] == second for row in people)
    }


def _names_pair(sentence: str, pair: tuple[str, str]) -> bool:
    listed = sentence.partition("no image: ")[2].rstrip(".").split("; ")
    return f"{pair[0]} with {pair[1]}" in listed or f"{pair[1]} with {pair[0]}" in listed


def _together(clusters: list[dict[str, Any]]) -> Finding:
    pairs = Counter((r["image_id"], r["cluster_id"]) for r in clusters if r["cluster_id"])
    shared = sum(n > 1 for n in pairs.values())
    return Finding("two faces of one image in one cluster", "0", str(shared), shared == 0)


def _counts(reasons: Any) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(reasons).items()))


def queries(output: Path, run_id: str) -> list[tuple[str, str]]:
    """Three (title, SQL) for DuckDB, ready to paste."""
    run = (output / "runs" / run_id).resolve()
    sql_files = {t: f"'{run}/{t}/*.parquet'" for t in ("images", "faces", "clusters", "balance")}
    return [
        (
            "What became of the archive",
            "SELECT status, reason, count(*) AS images\n"
            f"FROM {sql_files['images']}\nGROUP BY ALL ORDER BY images DESC;",
        ),
        (
            "The largest identity clusters and the quality of their faces",
            "SELECT cluster_id, count(*) AS faces, round(avg(similarity_to_centroid), 3) AS cohesion,\n"
            f"       round(avg(quality_score), 2) AS quality\nFROM {sql_files['clusters']} JOIN {sql_files['faces']} "
            "USING (face_id)\nWHERE role <> 'noise' GROUP BY ALL ORDER BY faces DESC, cluster_id LIMIT 5;",
        ),
        (
            "Balance: the same group among images and among people",
            "SELECT attributes[1] AS attribute, coalesce(groups[1], '(missing)') AS category, unit, n,\n"
            "       round(share, 3) AS share, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high\n"
            f"FROM {sql_files['balance']}\nWHERE len(attributes) = 1 AND unit IN ('image', 'cluster')\n"
            "ORDER BY attribute, category, unit;",
        ),
    ]


def read_planted(archive: Path) -> dict[str, Any]:
    """The plan as it was carried out."""
    planted: dict[str, Any] = json.loads((archive / "planted.json").read_text("utf-8"))
    return planted
