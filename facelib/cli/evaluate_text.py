"""The figures of `facelib evaluate` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figures = dict[str, Any]


def clusters_text(figures: Figures) -> str:
    """Tables of `evaluate clusters`."""
    largest = figures["largest"]
    lines = [
        *_heading(figures),
        f"{figures['n_faces']:,} main faces of {figures['n_subjects']:,} subjects scored, in {figures['n_clusters']:,} "
        f"clusters ({figures['n_noise']:,} of them noise, each face a cluster of one)",
        "",
        *_table(
            ("", "precision", "recall", "F"),
            [(name, *(f"{figures[key][part]:.3f}" for part in ("precision", "recall", "f1"))) for name, key in _SCORES],
        ),
        "",
        f"clusters / subjects: {figures['cluster_ratio']:.3f}",
        f"largest cluster: {largest['size']:,} faces, purity {largest['purity']:.3f}",
    ]
    for attribute, groups in figures["groups"].items():
        lines += ["", *_table((attribute, *_GROUP_COLUMNS), [_group_row(g) for g in groups])]
    if figures["groups"]:
        lines += ["", "repeated: subjects with two faces or more in the group; the two columns behind it are of these."]
    return "\n".join(lines) + "\n"


def verification_text(figures: Figures) -> str:
    """Tables of `evaluate verification`."""
    points = figures["points"]
    lines = [
        *_heading(figures),
        f"model {figures['model_id']}; similarity: cosine",
        f"{figures['n_faces']:,} main faces of {figures['n_subjects']:,} subjects: {figures['n_mated']:,} mated and "
        f"{figures['n_non_mated']:,} non-mated pairs",
    ]
    if figures["n_copies"]:
        lines.append(f"{figures['n_copies']:,} faces on exact copies of an image left out")
    if figures["n_not_sampled"]:
        lines.append(f"{figures['n_not_sampled']:,} faces left out by drawing subjects with seed {figures['seed']}")
    lines += [
        "",
        *_table(("FMR", "TMR", "95 % interval", "threshold"), [_point_row(p) for p in points if p["is_supported"]]),
    ]
    lines += [
        f"FMR {p['fmr']:g} is not supported by the data: {p['expected_false_matches']:.1f} false matches expected, "
        "10 needed"
        for p in points
        if not p["is_supported"]
    ]
    lines += ["", f"intervals: {figures['resamples']:,} sets of subjects drawn with seed {figures['seed']}"]
    return "\n".join(lines + _pairs_lines(figures["pairs"])) + "\n"


_SCORES = (("pairwise", "pairwise"), ("BCubed", "bcubed"))
_GROUP_COLUMNS = (
    "faces",
    "subjects",
    "repeated",
    "clusters each",
    "in one cluster (95 %)",
    "majority share",
    "BCubed precision",
)


def _heading(figures: Figures) -> list[str]:
    lines = [f"run {figures['run_id']}, labels of {figures['labels']}"]
    if figures["n_label_rows_without_image"]:
        lines.append(f"{figures['n_label_rows_without_image']:,} label rows name no image of the run")
    if figures["n_without_face"]:
        lines.append(
            f"{figures['n_without_face']:,} of {figures['n_labelled_images']:,} labelled images have no face: left out"
        )
    return lines


def _group_row(group: Figures) -> tuple[str, ...]:
    whole = "–"
    if group["n_repeated"]:
        low, high = group["whole_ends"]
        whole = f"{group['whole_share']:.3f} ({low:.3f}–{high:.3f})"
    return (
        "no label" if group["group"] is None else group["group"],
        *(f"{group[n]:,}" for n in ("n_faces", "n_subjects", "n_repeated")),
        f"{group['clusters_per_subject']:.3f}" if group["n_repeated"] else "–",
        whole,
        f"{group['majority_share']:.3f}",
        f"{group['bcubed_precision']:.3f}",
    )


def _point_row(point: Figures) -> tuple[str, ...]:
    ends = point["tmr_ends"]
    interval = f"{ends[0]:.3f}–{ends[1]:.3f}" if ends else "–"
    return f"{point['fmr']:g}", f"{point['tmr']:.3f}", interval, f"{point['threshold']:.4f}"


def _pairs_lines(pairs: Figures | None) -> list[str]:
    if pairs is None:
        return []
    lines = [
        "",
        f"pairs file: accuracy {pairs['accuracy']:.4f} ± {pairs['standard_error']:.4f} (standard error) over "
        f"{pairs['folds']} folds of {pairs['n_pairs']:,} pairs, {pairs['n_mated']:,} of them mated",
    ]
    if pairs["n_without_face"]:
        lines.append(f"{pairs['n_without_face']:,} pairs have an image without a face and count as not matched")
    if pairs["n_not_listed"]:
        lines.append(f"{pairs['n_not_listed']:,} pairs left out: an image is not in the archive")
    return lines


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns aligned, the first to the left."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(line, widths, strict=True)))
        for line in (header, *rows)
    ]
