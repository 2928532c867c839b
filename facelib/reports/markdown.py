"""Text, lists and tables as Markdown (CommonMark with the tables of GitHub). What is given is shown as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from facelib.reports.html.markup import clean

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&])")


def md(text: str) -> str:
    """`text` as Markdown that shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", clean(" ".join(text.split())))


def bullets(texts: Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {md(text)}" for text in texts)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "l") -> str:
    """A table. align: a letter per column, `l` or `r`; those left out are `r`."""
    lines = [head, *rows]
    texts = ["| " + " | ".join(md(cell) for cell in line) + " |" for line in lines]
    rule = "".join(" --- |" if side == "l" else " ---: |" for side in align.ljust(len(head), "r"))
    return "\n".join([texts[0], f"|{rule}", *texts[1:]])
