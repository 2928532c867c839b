"""What an embedding model is, and the models known by name."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError


class EmbeddingModel(Protocol):
    """Turns aligned face chips into vectors."""

    @property
    def model_id(self) -> str:
        """Name and digest of the weights; equal ids mean comparable embeddings."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    @property
    def input_px(self) -> int:
        """Side of the chips the network reads."""

    def embed(self, chips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embeddings float32 (n, dim), not scaled to unit length, of uint8 (n, 150, 150, 3) RGB chips."""


DLIB_RESNET_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_BACKENDS = {"dlib_resnet_v1": ("facelib.embeddings.dlib_resnet", "DlibResnet", DLIB_RESNET_SHA256)}


def model_id(name: str) -> str:
    """The id that the model of that name will have, without loading it; ConfigError for an unknown name."""
    return f"{name}-{_known(name)[2][:8]}"


def load_model(name: str = "dlib_resnet_v1") -> EmbeddingModel:
    """The model of that name, ready to use; its back end is imported only here.

    Raises ConfigError for an unknown name, and when the model's package is missing.
    """
    module, backend, _ = _known(name)
    return cast(EmbeddingModel, getattr(importlib.import_module(module), backend).load())


def _known(name: str) -> tuple[str, str, str]:
    if name not in _BACKENDS:
        known = ", ".join(sorted(_BACKENDS))
        raise ConfigError(f"embedding model {name!r} is not known: choose one of {known}")
    return _BACKENDS[name]
