"""What a worker process sets up once: its models, and the child process that touches foreign bytes."""

from __future__ import annotations

from functools import cache

from facelib.embeddings.model import EmbeddingModel, load_model
from facelib.faces.image_rows import RowSettings, isolated_work
from facelib.faces.models import one_thread
from facelib.isolation import Isolated

_extractors: dict[RowSettings, Isolated] = {}


def extractor(settings: RowSettings) -> Isolated:
    """`image_rows` with models of its own, in a child of this process."""
    if settings not in _extractors:
        _extractors[settings] = Isolated(isolated_work, settings, settings.decode.timeout_s)
    return _extractors[settings]


def close_extractors() -> None:
    """End the children of this process: later stages need the memory."""
    while _extractors:
        _extractors.popitem()[1].close()


@cache
def embedding_model(name: str, mirror: bool) -> EmbeddingModel:
    """Embedding model of this process."""
    one_thread()
    return load_model(name, mirror)
