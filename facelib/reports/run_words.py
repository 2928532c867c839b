"""What a run can say of itself in plain sentences, for the documents beside its report. Nothing is added to its facts.

Sentences name groups, counts and figures that the report shows too: no address, no name, no key. What the tables
withhold is withheld.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from facelib.reports.html import provenance, unknown
from facelib.reports.html.cells import UNIT_WORDS, UNITS
from facelib.reports.html.chapter import Finding, ReportInput, Rule
from facelib.reports.html.headline import rules_of
from facelib.reports.html.markup import count, group_text, percent, percents
from facelib.reports.html.page import chapters
from facelib.reports.html.withholding import WITHHELD

NOT_KNOWN = "Not known to the run: the owner of the archive must say."
LICENCE_NOT_STATED = "not stated: the owner of the archive must say under which licence images, labels and tables stand"
_SOURCES = {
    "declared": "given by the labels file",
    "annotated": "annotated",
    "measured": "measured by software",
    "predicted": "predicted by a model",
}
_NOT_FINDINGS = (unknown.ANCHOR, provenance.ANCHOR)


@dataclass(frozen=True)
class RunWords:
    """sources: by attribute of the table `labels`, `subject` included, where its values come from."""

    data: ReportInput
    sources: Mapping[str, tuple[str, ...]]

    @cached_property
    def rules(self) -> list[Rule]:
        """The rules of the report, the most important first."""
        return rules_of(chapters(self.data))

    @property
    def account(self) -> str:
        """How many images were listed and what became of them."""
        return plain(provenance.account_text(self.data))

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected images by reason."""
        return dict(self.data.run.account["rejected"])

    @property
    def attributes(self) -> list[str]:
        """The audited attributes."""
        return self.data.cells.attributes

    @property
    def has_subjects(self) -> bool:
        """Whether labels name verified people."""
        return "subject" in self.sources

    def biases(self) -> list[str]:
        """What the rules of the report flag of the archive, with the n and interval behind it."""
        return [_sentence(f) for f in self._findings() if f.chapter not in _NOT_FINDINGS]

    def gaps(self) -> list[str]:
        """What they flag as not known, and expectations of the data-quality gate that do not hold."""
        return [_sentence(f) for f in self._findings() if f.chapter in _NOT_FINDINGS]

    def _findings(self) -> Iterator[Finding]:
        return (f for rule in self.rules for f in sorted(rule.findings, key=lambda f: -f.size))

    def looked_at(self) -> list[str]:
        """Every rule, and at how much it looked."""
        return [plain(f"{rule.text} (looked at: {rule.looked_at})") for rule in self.rules]

    def limitations(self) -> list[str]:
        """What holds for every run: of its estimates, and of its intervals."""
        return [*map(plain, unknown.ESTIMATES), *(plain(f"Intervals: {text}") for text in unknown.INTERVALS)]

    def labels(self) -> list[str]:
        """A sentence for each attribute: its groups, the source of its values, and how many images have none."""
        return [self._label(attribute) for attribute in self.attributes]

    def _label(self, attribute: str) -> str:
        groups = [g for g in self.data.cells.groups[attribute] if g is not None]
        sources = ", ".join(_SOURCES.get(s, s) for s in self.sources.get(attribute, ())) or "of unknown source"
        declared = "declared" if attribute in self.data.declared else "not declared, so an absent one cannot be seen"
        return (
            f"{attribute}: one of {', '.join(groups) or 'no groups'}; groups are {declared}; values are {sources}; "
            f"images without a value: {self._missing(attribute)}."
        )

    def _missing(self, attribute: str) -> str:
        row = self.data.cells.single[attribute, "image"][None]
        if self.data.withheld.hides(attribute, "image", None) or row["share"] is None:
            return WITHHELD
        return plain(f"{count(row['n'])} ({percent(row['share'])})")

    def missing(self) -> str:
        """Images without labels, and images without a usable decode or face, in one text."""
        texts = [f"{attribute}: {self._missing(attribute)} images without a value" for attribute in self.attributes]
        rejected = ", ".join(f"{count(n)} {reason}" for reason, n in self.rejected.items())
        texts.append(f"images rejected and kept as rows with their reason: {rejected or 'none'}")
        return "; ".join(texts) + ". Missing values are null and were not imputed."

    def shares(self, attribute: str) -> Iterator[tuple[str, list[str]]]:
        """The groups of an attribute, the missing one last: n and share with its 95 % interval by unit, or withheld."""
        for group in self.data.cells.groups[attribute]:
            yield group_text(group), [self._share(attribute, unit, group) for unit in self.units(attribute)]

    def units(self, attribute: str) -> list[str]:
        """Units of the report that the attribute was counted for."""
        return [unit for unit in UNITS if (attribute, unit) in self.data.cells.single]

    def _share(self, attribute: str, unit: str, group: str | None) -> str:
        row = self.data.cells.single[attribute, unit][group]
        if self.data.withheld.hides(attribute, unit, group) or row["n"] is None:
            return WITHHELD
        if row["share"] is None:
            return count(row["n"])
        return plain(f"{count(row['n'])} · {percent(row['share'])} ({percents(row['ci_low'], row['ci_high'])})")

    def evenness(self, attribute: str) -> str:
        """Evenness by unit, in one line."""
        texts = []
        for unit in self.units(attribute):
            row = self.data.totals.get(((attribute,), unit))
            hidden = any(self.data.withheld.hides(attribute, unit, g) for g in self.data.cells.groups[attribute])
            value = None if row is None or hidden else row["evenness"]
            texts.append(f"{UNIT_WORDS[unit]} {WITHHELD if hidden else '–' if value is None else format(value, '.3f')}")
        return "; ".join(texts)

    def losses(self) -> list[str]:
        """A sentence for each stage: how many of all images were lost there."""
        return [
            plain(
                f"{row['stage']}: {count(row['n_in'] - row['n_out'])} of {count(row['n_in'])} images lost "
                f"({percent(row['rate'])}, 95 % interval {percents(row['ci_low'], row['ci_high'])})"
            )
            for row in self.data.rows("losses")
            if row["attribute"] is None and row["n_in"]
        ]

    def clustering(self) -> list[str]:
        """How faces became identities: the floor, what it rests on, and the cohort."""
        facts = self.data.run.stages.get("cluster", {})
        floor: Mapping[str, Any] = facts.get("floor") or {}
        texts = []
        if "floor" in floor:
            texts.append(
                f"Pairs of faces more similar than {floor['floor']:.3f} are edges; the threshold is of the method "
                f"“{floor.get('method', 'unknown')}”."
            )
        whose = {
            "archive": "people of the archive itself",
            "given": f"a given one, digest {self.data.run.models.get('given cohort', 'unknown')}",
        }
        if "cohort_source" in facts:
            source = whose.get(facts["cohort_source"])
            texts.append(
                f"Similarities are corrected against a cohort: {source}."
                if source
                else "Similarities are plain cosines: they are corrected against no cohort."
            )
        sizes = self.data.rows("cluster_sizes")
        if sizes:
            texts.append(f"{count(sum(row['clusters'] for row in sizes))} clusters were found.")
        return texts


def plain(text: str) -> str:
    """The text without no-break spaces."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _sentence(finding: Finding) -> str:
    return plain(f"{finding.sentence} ({finding.evidence})")
