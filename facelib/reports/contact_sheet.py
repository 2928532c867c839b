"""Contact sheets of clusters as HTML: one page that lists them, one page of faces for each.

A page holds its chips itself and asks for nothing from anywhere: its content security policy forbids all but that. What
comes from the archive (a URI is whatever its owner called the file) is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from facelib.ids import digest

INDEX = "index.html"
MOST_FACES = 400
"""Faces on one page; a larger cluster shows those least similar to its centroid."""
_SAMPLES = 6
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,80}")
_STYLE = """
body{font:16px/1.4 system-ui,sans-serif;margin:1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.2rem;overflow-wrap:anywhere}
ul{list-style:none;padding:0;margin:0;display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
ul.clusters{grid-template-columns:1fr}
li{border:1px solid #ccc;border-radius:6px;padding:.5rem;overflow-wrap:anywhere}
img{display:block;width:100%;max-width:150px;height:auto}
.strip{display:flex;gap:4px;margin-top:.25rem}.strip img{width:15%}
small{color:#555}
"""
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body>
"""
_WARNING = "<p><small>Faces of people: show it to nobody who is not entitled to see them.</small></p>\n"


@dataclass(frozen=True)
class SheetFace:
    """One face of a cluster; `similarity` is the cosine to the centroid, `chip` a JPEG or None."""

    face_id: str
    uri: str
    role: str
    similarity: float
    quality: float
    chip: bytes | None


@dataclass(frozen=True)
class Sheet:
    """One cluster. `faces`: least similar first, at most `MOST_FACES` of `size`.

    `mean_similarity`: mean cosine of all pairs of its core faces, `mean_edge_similarity` of those that are edges; None
    where there is no pair or edge.
    """

    cluster_id: str
    size: int
    n_images: int
    n_edges: int
    mean_similarity: float | None
    mean_edge_similarity: float | None
    faces: tuple[SheetFace, ...]


def page_name(cluster_id: str) -> str:
    """File name of a cluster's page."""
    return f"{cluster_id if _PLAIN.fullmatch(cluster_id) else digest('page', cluster_id)}.html"


def index_page(sheets: Sequence[Sheet], run_id: str, chosen: str) -> str:
    """The page that lists the clusters in their order; `chosen` says in words which they are."""
    title = f"Clusters of run {run_id}"
    items = "".join(_index_item(sheet) for sheet in sheets)
    return (
        f"{_head(title)}<h1>{escape(title)}</h1>\n{_WARNING}<p>{escape(chosen)}</p>\n"
        f'<ul class="clusters">\n{items}</ul>\n</body></html>\n'
    )


def cluster_page(sheet: Sheet, run_id: str) -> str:
    """The page of one cluster: every face with its chip, measures and source."""
    title = f"Cluster {sheet.cluster_id}"
    more = sheet.size - len(sheet.faces)
    hidden = f"<p>{more} more faces, closer to the centroid, are not shown.</p>\n" if more else ""
    items = "".join(_face_item(face) for face in sheet.faces)
    return (
        f'{_head(title)}<p><a href="{INDEX}">all clusters</a> of run {escape(run_id)}</p>\n<h1>{escape(title)}</h1>\n'
        f"{_WARNING}<p>{_facts(sheet)}. Least similar to the centroid first.</p>\n{hidden}<ul>\n{items}</ul>\n"
        "</body></html>\n"
    )


def _head(title: str) -> str:
    return _HEAD.format(title=escape(title), style=_STYLE)


def _index_item(sheet: Sheet) -> str:
    step = max(1, len(sheet.faces) // _SAMPLES)
    strip = "".join(_image(face) for face in sheet.faces[::step][:_SAMPLES])
    return (
        f'<li><a href="{page_name(sheet.cluster_id)}">{escape(sheet.cluster_id)}</a><br>{_facts(sheet)}'
        f'<div class="strip">{strip}</div></li>\n'
    )


def _facts(sheet: Sheet) -> str:
    return (
        f"{sheet.size} faces on {sheet.n_images} images, mean similarity of all pairs "
        f"{_number(sheet.mean_similarity)}, of its {sheet.n_edges} edges {_number(sheet.mean_edge_similarity)}"
    )


def _face_item(face: SheetFace) -> str:
    return (
        f"<li>{_image(face)}similarity to centroid {_number(face.similarity)}<br>{escape(face.role)}, quality "
        f"{_number(face.quality)}<br><small>{escape(face.uri)}<br>face {escape(face.face_id)}</small></li>\n"
    )


def _image(face: SheetFace) -> str:
    if face.chip is None:
        return "<p>no chip in the store</p>"
    data = base64.b64encode(face.chip).decode("ascii")
    alt = escape(f"face {face.face_id}, {face.role}, similarity {_number(face.similarity)}")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" width="150" height="150">'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
