"""Weights of the three networks of MTCNN, from the data files of the `mtcnn` package (MIT licence).

The files are LZ4-compressed joblib pickles of lists of arrays. A pickle can run code, so one is opened
only after its SHA-256 equals the pinned one, and only once: the arrays are then cached as `.npz`.
"""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt

from facelib.assets import cached_arrays, package_file
from facelib.ids import digest

Weights = dict[str, npt.NDArray[np.float32]]

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Digests of the files of `mtcnn` 1.0.0."""

_LAYERS = {
    "pnet": ("conv1", "conv2", "conv3", "offsets", "face"),
    "rnet": ("conv1", "conv2", "conv3", "dense", "offsets", "face"),
    "onet": ("conv1", "conv2", "conv3", "conv4", "dense", "offsets", "points", "face"),
}
_HEADS = ("offsets", "points", "face")
_FLATTENED_SIDE = 3
"""Both dense networks flatten a 3×3 grid."""


def load_weights(net: str) -> Weights:
    """Weights of `net` ("pnet", "rnet" or "onet"), float32, in the layout of PyTorch.

    Keys are `<layer>.weight` (out, in, rows, columns) or (out, in), `<layer>.bias` (out,) and, where a PReLU
    follows, `<layer>.slope` (out,). Raises ConfigError when the package is missing or its file differs.
    """
    source = package_file("mtcnn", f"assets/weights/{net}.lz4")
    arrays = cached_arrays(f"mtcnn-{net}-v1", source, SHA256[net], lambda path: _convert(net, path))
    return {key: value.astype(np.float32, copy=False) for key, value in arrays.items()}


def weights_digest() -> str:
    """12 hex digits naming the three weight files together."""
    return digest(*(SHA256[net] for net in sorted(SHA256)), length=12)


def _convert(net: str, path: Path) -> Weights:
    stored = iter(joblib.load(path))
    converted: Weights = {}
    for layer in _LAYERS[net]:
        kernel = np.asarray(next(stored), np.float32)
        converted[f"{layer}.weight"] = _convolution(kernel) if kernel.ndim == 4 else _matrix(layer, kernel)
        converted[f"{layer}.bias"] = np.asarray(next(stored), np.float32)
        if layer not in _HEADS:
            converted[f"{layer}.slope"] = np.asarray(next(stored), np.float32).reshape(-1)
    return converted


def _convolution(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(rows, columns, in, out) to (out, in, rows, columns)."""
    return kernel.transpose(3, 2, 0, 1)


def _matrix(layer: str, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(in, out) to (out, in); inputs of "dense" from (column, row, channel) to (channel, row, column)."""
    if layer == "dense":
        n = _FLATTENED_SIDE
        channels = len(kernel) // n**2
        kernel = kernel.reshape(n, n, channels, -1).transpose(2, 1, 0, 3).reshape(len(kernel), -1)
    return kernel.T
