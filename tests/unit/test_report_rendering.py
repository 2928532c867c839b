"""The report in a browser: nothing is wider than the screen, on a desk and on a phone, and it prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from report_specimen import GROUPS, Specimen, report_input, with_group_curves

from facelib.reports.html.page import report_page

pytestmark = pytest.mark.unit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (1280, 1000, 700, 390)
LONG = "a group whose name is a sentence that nobody would put into a chart" + "x" * 80
MEASURE = """
<script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.scrollingElement, wide = frame.contentWindow.innerWidth;
    const all = [...page.querySelectorAll("body *")].filter((e) => !e.closest(".widest"));  // which scrolls by itself
    const ends = all.filter((e) => e.getBoundingClientRect().right > wide + 1);
    const size = page.querySelector("svg text").getScreenCTM().a * 9;
    const beyond = ends.map((e) => e.tagName + ":" + e.textContent.slice(0, 40));
    return {wide, scroll: root.scrollWidth, smallest: size, beyond};
  });
  document.body.dataset.found = JSON.stringify(found);
});
</script>
"""


def browser(*arguments: str, folder: Path) -> str:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install it (apt-get install chromium) to see the report rendered")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    run = subprocess.run([CHROMIUM, *fixed, *arguments], capture_output=True, timeout=120, check=True, text=True)
    return run.stdout


def page_of(specimen: Specimen) -> str:
    data = report_input(specimen)
    attribute, groups = next(iter(specimen.groups.items()))
    return report_page(with_group_curves(data, {(attribute, group): 2.0 for group in groups}))


PAGES = {
    "realistic": Specimen(
        people=300, varied=True, shares={("race", "White"): 0.5, ("age_band", "70+"): 0.0}, missing={"race": 0.1},
        reference={"gender": {"F": 0.5, "M": 0.5}}, losses={("quality", "age_band", "0–2"): 0.3},
        exact={("race", "Middle Eastern"): 2},
    ),
    "long names": Specimen(
        people=60,
        groups={LONG: ("a", LONG), "gender": GROUPS["gender"], "many": tuple(f"group number {k}" for k in range(16)),
                "more": tuple(f"more {k}" for k in range(10))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_screen(name: str, tmp_path: Path) -> None:
    page = page_of(PAGES[name])
    frames = "".join(f'<iframe width="{w}" height="800" srcdoc="{escape(page)}"></iframe>' for w in WIDTHS)
    harness = tmp_path / "harness.html"
    harness.write_text(f"<!DOCTYPE html><body>{frames}{MEASURE}</body>", "utf-8")
    dumped = browser("--dump-dom", "--virtual-time-budget=20000", harness.as_uri(), folder=tmp_path)
    attribute = re.search(r'data-found="([^"]*)"', dumped)
    assert attribute is not None
    found: list[dict[str, Any]] = json.loads(unescape(attribute[1]))
    assert [f["wide"] for f in found] == list(WIDTHS)
    for frame in found:
        assert frame["scroll"] <= frame["wide"], frame["beyond"][:5]
        assert frame["beyond"] == []
        assert frame["smallest"] >= 8.5  # px: the notes of a chart


def test_a_page_prints_on_white_paper(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(page_of(replace(PAGES["realistic"], people=60)), "utf-8")
    printed = tmp_path / "report.pdf"
    browser(f"--print-to-pdf={printed}", page.as_uri(), folder=tmp_path)
    data = printed.read_bytes()
    assert data.startswith(b"%PDF")
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 40
    assert len(data) < 5_000_000
