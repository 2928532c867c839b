"""Contact sheets: nothing of the archive becomes markup, nothing is fetched; and the order of suspicion."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from parsed_page import Page

from facelib.clusters.assign import assign
from facelib.clusters.cohesion import least_alike, mean_pair_similarities
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.reports.contact_sheet import INDEX, Sheet, SheetFace, cluster_page, index_page, page_name

pytestmark = pytest.mark.unit

HOSTILE = "s3://b/\"><script>alert(1)</script><img src=http://evil.example/x onerror='x'>&amp;.jpg"
FACE = SheetFace("f-0", HOSTILE, "core", 0.98765, 0.5, b"\xff\xd8jpeg")
SHEET = Sheet("c1", 3, 2, 1, 0.9, None, (FACE, replace(FACE, face_id="f-1", chip=None)))


def pages() -> list[str]:
    return [cluster_page(SHEET, HOSTILE), index_page([replace(SHEET, cluster_id=HOSTILE)], HOSTILE, HOSTILE)]


@pytest.mark.parametrize("text", pages(), ids=["cluster", "index"])
def test_what_comes_from_the_archive_is_never_markup(text: str) -> None:
    page = Page(text)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "p", "small", "a", "ul", "li", "img", "br", "div"}
    assert {tag for tag, _ in page.tags} <= known
    assert HOSTILE in page.text
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]


@pytest.mark.parametrize("text", pages(), ids=["cluster", "index"])
def test_a_page_asks_for_nothing_from_anywhere(text: str) -> None:
    page = Page(text)
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert page.all("img")
    assert all((i["src"] or "").startswith("data:image/jpeg;base64,") for i in page.all("img"))
    assert all("/" not in (a["href"] or "/") and ":" not in (a["href"] or ":") for a in page.all("a"))
    assert "url(" not in text
    assert "@import" not in text


def test_a_page_of_a_cluster_shows_each_face() -> None:
    page = Page(cluster_page(SHEET, "r1"))
    (image,) = page.all("img")
    assert base64.b64decode((image["src"] or "").partition(",")[2]) == FACE.chip
    assert image["alt"] == "face f-0, core, similarity 0.988"
    assert "no chip in the store" in page.text
    assert "3 faces on 2 images, mean similarity of all pairs 0.900, of its 1 edges –" in page.text
    assert "1 more faces, closer to the centroid, are not shown" in page.text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert [a["href"] for a in page.all("a")] == [INDEX]


def test_the_index_links_each_page() -> None:
    page = Page(index_page([SHEET, replace(SHEET, cluster_id=HOSTILE)], "r1", "as named"))
    assert [a["href"] for a in page.all("a")] == ["c1.html", page_name(HOSTILE)]
    assert page_name(HOSTILE).removesuffix(".html").isalnum()
    assert page_name("../../etc/passwd").count("/") == 0


def test_mean_similarity_of_pairs_worked_by_hand() -> None:
    """Of (1, 0) and (0, 1) the mean has length √½ and the one pair cosine 0; R = 0.8 of four: (4·0.64 − 1) / 3."""
    names, means = mean_pair_similarities(["b", "a", "b", *"dddd"], [np.sqrt(0.5), 1, np.sqrt(0.5), 0.9, 0.7, 0.8, 0.8])
    assert names.tolist() == ["a", "b", "d"]
    assert np.isnan(means[0])
    assert means[1:] == pytest.approx([0, 0.52])


def test_mean_similarity_is_that_of_all_pairs_of_assigned_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(8, 12)), 6, axis=0)
    unit = normalise(centres + 0.25 * rng.normal(size=centres.shape))
    ids = [f"{i:02d}" for i in range(len(unit))]
    found = assign(ids, ids, unit, np.ones(len(unit), bool), ClusterSettings(floor=0.6)).clusters
    assert found.column("face_id").to_pylist() == ids
    cluster = np.array(found.column("cluster_id").to_pylist())
    names, means = mean_pair_similarities(cluster, found.column("similarity_to_centroid").to_numpy())
    assert len(names) > 1
    for name, mean in zip(names, means, strict=True):
        cosine = unit[cluster == name] @ unit[cluster == name].T
        upper = cosine[np.triu_indices(len(cosine), 1)]
        assert mean == pytest.approx(upper.mean() if len(upper) else np.nan, abs=1e-5, nan_ok=True)


def test_the_least_alike_clusters_come_first_and_single_faces_not_at_all() -> None:
    """a: 0.5, b: alone, c: 0.2, d: 0.5."""
    assert least_alike(["d", "a", "b", "c"], [0.5, 0.5, np.nan, 0.2], 3) == ["c", "a", "d"]
    assert least_alike(["d", "a", "b", "c"], [0.5, 0.5, np.nan, 0.2], 9) == ["c", "a", "d"]
    assert least_alike(["b"], [np.nan], 2) == []
