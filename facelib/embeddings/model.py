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


_MIRRORED = "-mirrored"


class Mirrored:
    """A model whose embedding is the mean of those of the chip and of its mirror image.

    As in Parkhi, Vedaldi and Zisserman, "Deep face recognition", 2015. Costs twice the time; see the
    benchmarks for what it gives.
    """

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self.model_id = model.model_id + _MIRRORED
        self.dim = model.dim
        self.input_px = model.input_px

    def embed(self, chips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embeddings float32 (n, dim) of uint8 (n, 150, 150, 3) RGB chips."""
        both = self._model.embed(np.concatenate([chips, chips[:, :, ::-1]]))
        mean: npt.NDArray[np.float32] = (both[: len(chips)] + both[len(chips) :]) / np.float32(2)
        return mean


def model_id(name: str, mirror: bool = False) -> str:
    """The id that the model of that name will have, without loading it; ConfigError for an unknown name."""
    return f"{name}-{_known(name)[2][:8]}" + (_MIRRORED if mirror else "")


def load_model(name: str = "dlib_resnet_v1", mirror: bool = False) -> EmbeddingModel:
    """The model of that name, ready to use, `Mirrored` if wanted; its back end is imported only here.

    Raises ConfigError for an unknown name, and when the model's package is missing.
    """
    module, backend, _ = _known(name)
    model = cast(EmbeddingModel, getattr(importlib.import_module(module), backend).load())
    return Mirrored(model) if mirror else model


def _known(name: str) -> tuple[str, str, str]:
    if name not in _BACKENDS:
        known = ", ".join(sorted(_BACKENDS))
        raise ConfigError(f"embedding model {name!r} is not known: choose one of {known}")
    return _BACKENDS[name]
