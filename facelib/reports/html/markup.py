"""Text, numbers and tables as HTML. What is not `Html` is escaped, always."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

MISSING = "no label"
"""How a missing value is called."""
NOTHING = "–"
"""How an undefined figure is written."""
_SPACE = "\N{NO-BREAK SPACE}"
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Markup that was made here, or text that has been escaped."""

    __slots__ = ()


def clean(text: str) -> str:
    """`text` without what neither HTML nor SVG may hold, and without marks that turn the direction of writing."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def html(text: str) -> Html:
    """`text` as markup; escaped unless it is markup already."""
    return text if isinstance(text, Html) else Html(escape(clean(text)).replace(" %", f"{_SPACE}%"))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """`<tag …>content</tag>`; a trailing underscore of an attribute's name is dropped, others become hyphens."""
    given = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(clean(v))}"' for k, v in attributes.items())
    return Html(f"<{tag}{given}>{''.join(html(part) for part in content)}</{tag}>")


def paragraph(*content: str) -> Html:
    """A paragraph."""
    return element("p", *content)


def items(contents: Sequence[str]) -> Html:
    """An unordered list."""
    return element("ul", *(element("li", content) for content in contents))


def table(
    caption: str,
    head: Sequence[str],
    bodies: Sequence[tuple[str, Sequence[Sequence[str]]]],
    align: str = "",
    stacked: bool = False,
) -> Html:
    """A table whose first column heads one row or, spanning them, several.

    bodies: for each heading its rows, which have one cell less than `head`. align: a letter per column, `l` or
    `r` (default: the first left, all others right). stacked: on narrow screens each cell is a line of its own
    that begins with its column's name.
    """
    align = (align or "l").ljust(len(head), "r")
    sides = {"l": "left", "r": "right"}
    heads = [element("th", name, scope="col", class_=sides[side]) for name, side in zip(head, align, strict=True)]
    parts = []
    for label, rows in bodies:
        lines = []
        for number, row in enumerate(rows):
            cells = [
                element("td", cell, class_=sides[side], data_label=name)
                for cell, side, name in zip(row, align[1:], head[1:], strict=True)
            ]
            if number == 0:
                span = {"rowspan": str(len(rows))} if len(rows) > 1 else {}
                cells.insert(0, element("th", label, scope="rowgroup" if span else "row", class_="left", **span))
            lines.append(element("tr", *cells))
        parts.append(element("tbody", *lines))
    inside = (element("caption", caption), element("thead", element("tr", *heads)), *parts)
    return element("table", *inside, **({"class_": "stacked"} if stacked else {}))


def side_by_side(chart: Html, beside: Html, columns: int = 0) -> Html:
    """A chart and its table, one below the other where there is no room for a table of so many columns."""
    width = " wide" if 4 < columns <= 8 else " widest" if columns > 8 else ""
    parts = element("div", chart, class_="chart"), element("div", beside)
    return element("div", *parts, class_=f"pair{width}")


def count(n: int) -> str:
    """A count with thousands set apart."""
    return f"{n:,}"


def percent(share: float | None) -> str:
    """A share 0–1 in per cent."""
    return NOTHING if share is None else f"{_hundredths(share, share)}{_SPACE}%"


def percents(low: float | None, high: float | None) -> str:
    """An interval of shares in per cent."""
    return NOTHING if low is None or high is None else f"{_between(low, high, high)}{_SPACE}%"


def estimate_text(share: float | None, low: float | None, high: float | None) -> Html:
    """A share and its interval: 30.7 % (29.4–32.1)."""
    if share is None or low is None or high is None:
        return html(percent(share))
    return Html(f"{percent(share)} <small>({_between(low, high, share or high)})</small>")


def _between(low: float, high: float, scale: float) -> str:
    return f"{_hundredths(low, scale)}–{_hundredths(high, scale)}"


def _hundredths(share: float, scale: float) -> str:
    """In hundredths, with as many digits as a share of about `scale` has; 0 and 1 are exact."""
    if share in (0, 1):
        return f"{100 * share:.0f}"
    decimals = 1 if scale >= 0.01 else min(6, -1 - math.floor(math.log10(scale)))
    return f"{100 * share:.{decimals}f}"


def rate(value: float | None) -> str:
    """A rate that spans powers of ten: 3.1e−4."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 0.1:
        return f"{value:.2g}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}".replace("-", "\N{MINUS SIGN}")


def rates(low: float | None, high: float | None) -> str:
    """An interval of such rates."""
    return NOTHING if low is None or high is None else f"{rate(low)} to {rate(high)}"


def number(value: float | None) -> str:
    """A measure to three digits; whole numbers as such."""
    if value is None:
        return NOTHING
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def group_text(group: str | None) -> str:
    """A group, or that the label is missing."""
    return MISSING if group is None else group


def named(attributes: Sequence[str], groups: Sequence[str | None]) -> str:
    """ "gender = F", "gender = F and age = 20–29"."""
    return " and ".join(f"{a} = {group_text(g)}" for a, g in zip(attributes, groups, strict=True))
