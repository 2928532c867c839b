"""dlib's face recognition ResNet (`dlib_face_recognition_resnet_model_v1.dat`, CC0) in PyTorch.

29 convolutions, 5.6 M parameters, trained on aligned chips (`facelib.faces.chip`). Two faces count as the
same person in dlib's examples when their embeddings are closer than 0.6 (Euclidean).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from facelib.assets import Arrays, cached_arrays, package_file
from facelib.embeddings.model import DLIB_RESNET_SHA256, model_id
from facelib.errors import ConfigError
from facelib.faces.chip import CHIP_PX
from facelib.faces.dlib_format import read_face_resnet

_PACKAGE = "face_recognition_models"
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
_BATCH = 32
_INPUT_SCALE = 256


class DlibResnet:
    """The embedder of 128 dimensions; equal to `dlib.face_recognition_model_v1` within float32 rounding."""

    dim = 128
    input_px = CHIP_PX

    def __init__(self, arrays: Arrays, model_id: str) -> None:
        """`arrays` as `read_face_resnet` returns them."""
        self.model_id = model_id
        self._network = _Network(arrays)

    @classmethod
    def load(cls) -> DlibResnet:
        """The network of the package face_recognition_models; ConfigError when it is missing."""
        source = package_file(_PACKAGE, _FILE)
        arrays = cached_arrays("dlib-resnet-v1", source, DLIB_RESNET_SHA256, read_face_resnet)
        return cls(arrays, model_id("dlib_resnet_v1"))

    def embed(self, chips: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embeddings float32 (n, 128), of length about 1.3 to 1.5, of uint8 (n, 150, 150, 3) RGB chips.

        Raises ConfigError for chips of another shape or type.
        """
        expected = (CHIP_PX, CHIP_PX, 3)
        if chips.ndim != 4 or chips.shape[1:] != expected or chips.dtype != np.uint8:
            found = f"{chips.dtype} {chips.shape}"
            raise ConfigError(f"chips are {found}, not uint8 (n, 150, 150, 3): pass stacked chips")
        embeddings = np.empty((len(chips), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(chips), _BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(chips[start : start + _BATCH]))
                embeddings[start : start + _BATCH] = self._network(batch).numpy()
        return embeddings


class _Network(nn.Module):
    mean: Tensor
    head: Tensor

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        geometry = zip(arrays["stride"], arrays["padding"], strict=True)
        convolutions = [
            _convolution(arrays[f"weight_{i}"], arrays[f"bias_{i}"], int(stride), int(padding))
            for i, (stride, padding) in enumerate(geometry)
        ]
        self.stem = convolutions[0]
        self.blocks = nn.Sequential(
            *(
                _Residual(convolutions[1 + 2 * j], convolutions[2 + 2 * j], bool(is_pooled))
                for j, is_pooled in enumerate(arrays["is_pooled"])
            )
        )
        self.register_buffer("mean", torch.tensor(arrays["mean"]))
        self.register_buffer("head", torch.tensor(arrays["fc"]))

    def forward(self, chips: Tensor) -> Tensor:
        """(n, 150, 150, 3) uint8 to (n, 128)."""
        x = ((chips.float() - self.mean) / _INPUT_SCALE).permute(0, 3, 1, 2)
        x = functional.max_pool2d(functional.relu_(self.stem(x)), kernel_size=3, stride=2)
        features: Tensor = self.blocks(x).mean(dim=(2, 3))
        return features @ self.head


class _Residual(nn.Module):
    """relu(f(x) + shortcut); where the shapes differ, dlib's add_prev fills up with zeros at the end."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d, is_pooled: bool) -> None:
        super().__init__()
        self.first, self.second, self.is_pooled = first, second, is_pooled

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(functional.relu_(self.first(x)))
        if self.is_pooled:
            x = functional.avg_pool2d(x, kernel_size=2, stride=2)
            shape = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
            x, y = _fill(x, shape), _fill(y, shape)
        return functional.relu_(x + y)


def _fill(x: Tensor, shape: list[int]) -> Tensor:
    channels, height, width = (to - size for to, size in zip(shape, x.shape[1:], strict=True))
    return functional.pad(x, (0, width, 0, height, 0, channels)) if channels or height or width else x


def _convolution(
    weight: npt.NDArray[np.generic], bias: npt.NDArray[np.generic], stride: int, padding: int
) -> nn.Conv2d:
    outputs, inputs, rows, columns = weight.shape
    layer = nn.Conv2d(inputs, outputs, (rows, columns), stride=stride, padding=padding)
    layer.weight.data = torch.tensor(weight).contiguous(memory_format=torch.channels_last)
    layer.bias = nn.Parameter(torch.tensor(bias))
    return layer.requires_grad_(False)
