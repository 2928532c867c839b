"""The three convolutional networks of MTCNN as PyTorch functions on the CPU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_weights import load_weights

Layers = dict[str, torch.Tensor]

_LARGEST_SCORE = 1 - 2**-24
"""The float32 before 1, the largest that TensorFlow's softmax was seen to give."""


def load_layers(net: str) -> Layers:
    """Tensors of `net`; the face layer holds one row, the difference of its two classes.

    The softmax of two classes is the logistic function of the difference.
    """
    layers = {key: torch.from_numpy(value) for key, value in load_weights(net).items()}
    for part in ("face.weight", "face.bias"):
        layers[part] = layers[part][1:] - layers[part][:1]
    scans_images = net == "pnet"
    for key, value in layers.items():
        if value.ndim == 4 and not (scans_images and key.startswith("conv1")):
            layers[key] = value.contiguous(memory_format=torch.channels_last)
    return layers


def propose(layers: Layers, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The proposal network over (1, 3, h, w): face scores (h', w') and box offsets (h', w', 4).

    Three channels run faster plane by plane, more of them interleaved (measured on AVX2).
    """
    x = _pool_pairs(_conv(layers, "conv1", image.contiguous()))
    x = x.contiguous(memory_format=torch.channels_last)
    x = _conv(layers, "conv3", _conv(layers, "conv2", x))
    scores = _score(F.conv2d(x, layers["face.weight"], layers["face.bias"]))
    offsets = F.conv2d(x, layers["offsets.weight"], layers["offsets.bias"])
    return scores[0, 0], offsets[0].permute(1, 2, 0)


def refine_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The refinement network on (n, 3, 24, 24): face scores (n,) and box offsets (n, 4)."""
    x = _pool(_conv(layers, "conv1", crops), 3, ceil=True)
    x = _pool(_conv(layers, "conv2", x), 3, ceil=False)
    x = _dense(layers, _conv(layers, "conv3", x))
    return _score(_linear(layers, "face", x))[:, 0], _linear(layers, "offsets", x)


def describe_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The output network on (n, 3, 48, 48): face scores (n,), box offsets (n, 4), points (n, 10)."""
    x = _pool(_conv(layers, "conv1", crops), 3, ceil=True)
    x = _pool(_conv(layers, "conv2", x), 3, ceil=False)
    x = _pool(_conv(layers, "conv3", x), 2, ceil=True)
    x = _dense(layers, _conv(layers, "conv4", x))
    return (
        _score(_linear(layers, "face", x))[:, 0],
        _linear(layers, "offsets", x),
        _linear(layers, "points", x),
    )


def _conv(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    x = F.conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"])
    return F.prelu(x, layers[f"{name}.slope"])


def _pool(x: torch.Tensor, size: int, ceil: bool) -> torch.Tensor:
    """Max-pooling by 2; `ceil` gives TensorFlow's SAME, whose padding is on the right and bottom only."""
    return F.max_pool2d(x, size, 2, ceil_mode=ceil)


def _pool_pairs(x: torch.Tensor) -> torch.Tensor:
    """`_pool(x, 2, ceil=True)`, three times as fast on contiguous planes."""
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), value=-math.inf)
    x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(x[..., ::2], x[..., 1::2])


def _linear(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layers[f"{name}.weight"], layers[f"{name}.bias"])


def _dense(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    return F.prelu(_linear(layers, "dense", x.flatten(1)), layers["dense.slope"])


def _score(logits: torch.Tensor) -> torch.Tensor:
    """Scores; saturated ones are equal, as in the original, whose order of candidates depends on it."""
    return torch.sigmoid(logits).clamp(max=_LARGEST_SCORE)
