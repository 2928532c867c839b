"""The questions of T. Gebru, J. Morgenstern, B. Vecchione, J. W. Vaughan, H. Wallach, H. Daumé III and K. Crawford,
"Datasheets for Datasets", Communications of the ACM 64 (2021) 86–92, shortened to their first sentences."""

from __future__ import annotations

QUESTIONS: dict[str, dict[str, str]] = {
    "Motivation": {
        "purpose": "For what purpose was the dataset created?",
        "creator": "Who created the dataset, and on behalf of which entity?",
        "funding": "Who funded the creation of the dataset?",
    },
    "Composition": {
        "instances": "What do the instances that comprise the dataset represent?",
        "number": "How many instances are there in total?",
        "sample": "Does the dataset contain all possible instances, or is it a sample from a larger set?",
        "data": "What data does each instance consist of?",
        "labels": "Is there a label or target associated with each instance?",
        "missing": "Is any information missing from individual instances?",
        "relationships": "Are relationships between individual instances made explicit?",
        "splits": "Are there recommended data splits?",
        "errors": "Are there any errors, sources of noise, or redundancies in the dataset?",
        "self_contained": "Is the dataset self-contained, or does it rely on external resources?",
        "confidential": "Does the dataset contain data that might be considered confidential?",
        "offensive": "Does the dataset contain data that might be offensive, or might otherwise cause anxiety?",
        "subpopulations": "Does the dataset identify any subpopulations?",
        "identifiable": "Is it possible to identify individuals, directly or indirectly, from the dataset?",
        "sensitive": "Does the dataset contain data that might be considered sensitive in any way?",
    },
    "Collection process": {
        "acquired": "How was the data associated with each instance acquired?",
        "mechanisms": "What mechanisms or procedures were used to collect the data?",
        "strategy": "If the dataset is a sample from a larger set, what was the sampling strategy?",
        "involved": "Who was involved in the data collection process, and how were they compensated?",
        "timeframe": "Over what timeframe was the data collected?",
        "ethics": "Were any ethical review processes conducted?",
        "third_parties": "Was the data collected from the individuals directly, or obtained via third parties?",
        "notified": "Were the individuals in question notified about the data collection?",
        "consent": "Did the individuals in question consent to the collection and use of their data?",
        "revoke": "If consent was obtained, can the individuals revoke it?",
        "impact": "Has an analysis of the potential impact of the dataset on data subjects been conducted?",
    },
    "Preprocessing, cleaning, labelling": {
        "preprocessing": "Was any preprocessing, cleaning or labelling of the data done?",
        "raw": "Was the raw data saved in addition?",
        "software": "Is the software that was used available?",
    },
    "Uses": {
        "used": "Has the dataset been used for any tasks already?",
        "repository": "Is there a repository that links to papers or systems that use the dataset?",
        "other_tasks": "What other tasks could the dataset be used for?",
        "composition_impact": "Is there anything about the composition of the dataset that might impact future uses?",
        "not_for": "Are there tasks for which the dataset should not be used?",
    },
    "Distribution": {
        "distributed": "Will the dataset be distributed to third parties?",
        "how_distributed": "How and when will it be distributed?",
        "licence": "Under which licence or terms of use will it be distributed?",
        "restrictions": "Have third parties imposed restrictions, or do export controls or regulations apply?",
    },
    "Maintenance": {
        "maintainer": "Who will be supporting, hosting and maintaining the dataset, and how can they be contacted?",
        "erratum": "Is there an erratum?",
        "updated": "Will the dataset be updated?",
        "retention": "If the dataset relates to people, are there limits on the retention of the data?",
        "older": "Will older versions of the dataset continue to be supported?",
        "extend": "If others want to extend the dataset, is there a mechanism for them to do so?",
    },
}
"""By part, the questions by name."""
