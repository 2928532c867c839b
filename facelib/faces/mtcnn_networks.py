"""The three convolutional networks of MTCNN as PyTorch functions on the CPU."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_weights import load_weights

Layers = dict[str, torch.Tensor]
Edges = Iterable[tuple[int, int, int, int]]

_LARGEST_SCORE = 1 - 2**-24
"""The float32 before 1, the largest that TensorFlow's softmax was seen to give."""


def load_proposer() -> Layers:
    """Tensors of the first network, for `propose` and `offsets_of`.

    The pooling after the first layer comes before its PReLU, on a quarter of the values. That commutes where
    a slope is not negative. Where one is, channels that hold slope · x are added: of a window, the maximum of
    PReLU(x) is then the larger of PReLU(max x) and max(slope · x). Channels with a negative slope come first.
    """
    layers = _load_layers("pnet")
    weight, bias, slope = (layers[f"conv1.{part}"] for part in ("weight", "bias", "slope"))
    order = torch.argsort(slope >= 0, stable=True)
    negative = order[: int((slope < 0).sum())]
    layers["conv1.weight"] = torch.cat((weight[order], weight[negative] * slope[negative, None, None, None]))
    layers["conv1.bias"] = torch.cat((bias[order], bias[negative] * slope[negative]))
    layers["conv1.slope"] = slope[order]
    layers["conv2.weight"] = layers["conv2.weight"][:, order]
    return _interleaved(layers)


def load_judge(net: str) -> Layers:
    """Tensors of the second ("rnet") or third network ("onet"), for crops of `facelib.faces.mtcnn_crops`."""
    layers = _load_layers(net)
    layers["conv1.weight"] = layers["conv1.weight"] / 128
    return _interleaved(layers)


def propose(layers: Layers, canvas: torch.Tensor, edges: Edges) -> tuple[torch.Tensor, torch.Tensor]:
    """The proposal network over (1, 3, h, w): face scores (h', w') and its features (h', w', 32).

    Height and width are even, the channels interleaved. `edges`: first and last row and column, ends
    exclusive, of the parts of the first layer's output (h − 2, w − 2) that the pooling leaves out.
    """
    x = F.conv2d(canvas, layers["conv1.weight"], layers["conv1.bias"])
    pixels = x[0].permute(1, 2, 0).numpy()
    for top, bottom, left, right in edges:
        pixels[top:bottom, left:right] = -math.inf
    x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    x = torch.maximum(x[..., ::2], x[..., 1::2])
    n = len(layers["conv1.slope"])
    scaled = x[:, n:]
    x = F.prelu(x[:, :n], layers["conv1.slope"])
    negative = x[:, : scaled.shape[1]]
    torch.maximum(negative, scaled, out=negative)
    x = _conv(layers, "conv3", _conv(layers, "conv2", x))
    scores = _score(F.conv2d(x, layers["face.weight"], layers["face.bias"]))
    return scores[0, 0], x[0].permute(1, 2, 0)


def offsets_of(layers: Layers, features: torch.Tensor) -> torch.Tensor:
    """Box offsets (n, 4) of cells of the first network with these features (n, 32)."""
    return F.linear(features, layers["offsets.weight"].flatten(1), layers["offsets.bias"])


def refine_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The refinement network on (n, 3, 24, 24): face scores (n,) and box offsets (n, 4)."""
    x = _pool_threes(_conv(layers, "conv1", crops))
    x = _pool_threes(_conv(layers, "conv2", x))
    x = _dense(layers, _conv(layers, "conv3", x))
    return _score(_linear(layers, "face", x))[:, 0], _linear(layers, "offsets", x)


def describe_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The output network on (n, 3, 48, 48): face scores (n,), box offsets (n, 4), points (n, 10)."""
    x = _pool_threes(_conv(layers, "conv1", crops))
    x = _pool_threes(_conv(layers, "conv2", x))
    x = F.max_pool2d(_conv(layers, "conv3", x), 2)
    x = _dense(layers, _conv(layers, "conv4", x))
    return (
        _score(_linear(layers, "face", x))[:, 0],
        _linear(layers, "offsets", x),
        _linear(layers, "points", x),
    )


def _load_layers(net: str) -> Layers:
    """Tensors of `net`; the face layer holds one row, the difference of its two classes.

    The softmax of two classes is the logistic function of the difference.
    """
    layers = {key: torch.from_numpy(value) for key, value in load_weights(net).items()}
    for part in ("face.weight", "face.bias"):
        layers[part] = layers[part][1:] - layers[part][:1]
    return layers


def _interleaved(layers: Layers) -> Layers:
    for key, value in layers.items():
        if value.ndim == 4:
            layers[key] = value.contiguous(memory_format=torch.channels_last)
    return layers


def _conv(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    x = F.conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"])
    return F.prelu(x, layers[f"{name}.slope"])


def _pool_threes(x: torch.Tensor) -> torch.Tensor:
    """Max-pooling of 3 by 2, over n // 2 windows along n px; 2.5 times as fast as PyTorch's on interleaved channels.

    Where n is even the last window is cut off, as TensorFlow's SAME pads at the right and bottom only; where
    it is odd nothing is padded.
    """
    for axis in (2, 3):
        half = x.shape[axis] // 2
        even, odd = (x[:, :, start::2] if axis == 2 else x[..., start::2] for start in (0, 1))
        pooled = torch.maximum(even.narrow(axis, 0, half), odd)
        thirds = even.narrow(axis, 1, even.shape[axis] - 1)
        inner = pooled.narrow(axis, 0, thirds.shape[axis])
        torch.maximum(inner, thirds, out=inner)
        x = pooled
    return x


def _linear(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layers[f"{name}.weight"], layers[f"{name}.bias"])


def _dense(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    return F.prelu(_linear(layers, "dense", x.flatten(1)), layers["dense.slope"])


def _score(logits: torch.Tensor) -> torch.Tensor:
    """Scores; saturated ones are equal, as in the original, whose order of candidates depends on it."""
    return torch.sigmoid(logits).clamp(max=_LARGEST_SCORE)
