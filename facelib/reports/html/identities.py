"""How many photographs there are of each person: the curve of images per identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from facelib.audit.intervals import wilson
from facelib.reports.html.chapter import Chapter, ReportInput
from facelib.reports.html.markup import (
    Html,
    count,
    estimate_text,
    paragraph,
    percent,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_curves import Axis, Curve, Point, curve_chart

ANCHOR = "identities"
Row = Mapping[str, Any]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without clusters."""
    rows = data.rows("cluster_sizes")
    if not rows:
        return None
    clusters, images = sum(r["clusters"] for r in rows), sum(r["images"] for r in rows)
    text = (
        f"{count(clusters)} clusters hold {count(images)} images, {images / clusters:.1f} each on average. An identity "
        "with one photograph teaches a recognition model nothing about how a person may vary; a few with very many "
        "teach it those people. Clusters are not verified people: a person who is divided counts twice, each time with "
        "fewer images."
    )
    roles = data.run.account["roles"]
    noise, faces = roles.get("noise", 0), sum(roles.values())
    if faces:
        low, high = (float(end) for end in wilson(noise, faces))
        share = f"{percent(noise / faces)}, 95 % interval {percents(low, high)}"
        text += f" {count(noise)} of {count(faces)} faces ({share}) are in no cluster."
    body = paragraph(text) + side_by_side(_curve(rows, clusters, images), _table(rows, clusters, images))
    return Chapter(ANCHOR, "Images per identity", Html(body))


def _sizes(row: Row) -> str:
    if row["largest"] is None:
        return f"{count(row['smallest'])} or more"
    if row["largest"] == row["smallest"]:
        return count(row["smallest"])
    return f"{count(row['smallest'])}–{count(row['largest'])}"


def _curve(rows: Sequence[Row], clusters: int, images: int) -> Html:
    starts = [row["smallest"] for row in rows]
    curves = []
    for word, column, total in (("identities", "clusters", clusters), ("their images", "images", images)):
        left = [sum(row[column] for row in rows[k:]) for k in range(len(rows))]
        curves.append(Curve(word, tuple(Point(s, n / total) for s, n in zip(starts, left, strict=True))))
    x = Axis(
        "images of the identity, at least", 1, max(2, starts[-1]), tuple(starts), lambda v: f"{v or 0:g}", math.log2
    )
    y = Axis("share of", 0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), lambda v: f"{100 * (v or 0):.0f} %")
    return curve_chart("images-per-identity", "Images per identity", curves, x, y)


def _table(rows: Sequence[Row], clusters: int, images: int) -> Html:
    bodies = []
    for row in rows:
        low, high = (float(end) for end in wilson(row["clusters"], clusters))
        held = f"{count(row['images'])} ({percent(row['images'] / images)})"
        share = estimate_text(row["clusters"] / clusters, low, high)
        bodies.append((_sizes(row), [[count(row["clusters"]), share, held]]))
    caption = "Identities by the number of their images; sizes with few identities are joined."
    return table(caption, ["images", "identities", "share (95 %)", "images they hold"], bodies)
