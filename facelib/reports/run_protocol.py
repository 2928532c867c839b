"""How a run came to its tables, and what they hold of people, in sentences for the documents beside its report."""

from __future__ import annotations

from facelib.reports.run_words import RunWords

USE = (
    "Made to audit the archive before a face-recognition model is trained again: what to collect, what to drop and how "
    "to weight. Whether the tables are fit for any other use was not examined."
)


def preprocessing(words: RunWords) -> list[str]:
    """What was done with the photographs, in order, with the models and the settings that are not the defaults."""
    models = words.data.run.models
    settings = [f"{name} = {value} (default {default})" for name, value, default in words.data.run.settings]
    return [
        "Objects were listed, fetched, decoded and measured; those that could not be decoded or show no face are kept "
        "as rows with a reason.",
        f"Faces were detected and aligned{_by(models.get('detector'))}, measured, and scored for quality; the score "
        "decides whether a face may found a cluster.",
        f"Aligned faces were embedded{_by(models.get('embedder'))}.",
        " ".join(["Faces were clustered into identities.", *words.clustering()]),
        *(
            ["Labels were joined to images; images, faces and clusters were counted by group."]
            if words.attributes
            else []
        ),
        f"Settings that differ from their defaults: {'; '.join(settings) or 'none'}.",
    ]


def _by(model: str | None) -> str:
    return f" by {model}" if model else ""


def annotation(words: RunWords) -> str:
    """Where labels come from, and what is not known of it."""
    if not words.attributes and not words.has_subjects:
        return "The run has no labels."
    people = "Verified people are kept as keyed pseudonyms. " if words.has_subjects else ""
    return (
        f"{people}{' '.join(words.labels())} A label describes the most prominent face of an image. Who annotated, "
        "with which instructions and with which agreement, is not known to the run."
    )


def sensitive(words: RunWords) -> list[str]:
    """What the tables hold of people."""
    found = [
        "The table images holds the addresses of the photographs, whose paths may contain names.",
        "The tables faces and clusters hold measures of faces, skin tone among them, and which faces are likely of one "
        "person: they derive from biometric data. Embeddings and face chips are kept apart and are not part of it.",
    ]
    if words.attributes:
        found.append(f"The table labels holds what labels say of the people on images: {', '.join(words.attributes)}.")
    if words.has_subjects:
        found.append("The table labels holds a keyed pseudonym of the verified person on an image.")
    return found
