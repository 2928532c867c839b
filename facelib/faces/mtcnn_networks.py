"""The three convolutional networks of MTCNN as PyTorch functions on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    if net == "pnet":
        layers |= _pooling_first(layers)
    for key, value in layers.items():
        if value.ndim == 4:
            layers[key] = value.contiguous(memory_format=torch.channels_last)
    return layers


def _pooling_first(layers: Layers) -> Layers:
    """The first layer so that pooling can precede its PReLU, which then has a quarter of the work.

    Where the slope s is not negative, PReLU is monotonous and max-pooling may come first. Where it is, PReLU is
    max(x, s·x): those channels come first, and once more, times s, after all others.
    """
    slope = layers["conv1.slope"]
    order = torch.argsort(slope >= 0, stable=True)
    negative = slope < 0
    parts = {
        part: torch.cat(
            [layers[part][order], layers[part][negative] * slope[negative].reshape(-1, *[1] * (layers[part].ndim - 1))]
        )
        for part in ("conv1.weight", "conv1.bias")
    }
    return parts | {"conv1.slope": slope[order], "conv2.weight": layers["conv2.weight"][:, order]}


def propose(
    layers: Layers, canvas: torch.Tensor, rims: Sequence[tuple[slice, slice]] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """The proposal network over (1, 3, h, w): face scores (h', w') and its features (h', w', 32).

    `rims`: rows and columns of the first feature map that are left out of the pooling.
    """
    x = F.conv2d(canvas, layers["conv1.weight"], layers["conv1.bias"])
    pixels = x[0].permute(1, 2, 0).numpy()
    for rim in rims:
        pixels[rim] = -math.inf
    x = _pool_pairs(x)
    channels = len(layers["conv1.slope"])
    scaled = x[:, channels:]
    x = F.prelu(x[:, :channels], layers["conv1.slope"])
    negative = x[:, : scaled.shape[1]]
    torch.maximum(negative, scaled, out=negative)
    x = _conv(layers, "conv3", _conv(layers, "conv2", x))
    scores = _score(F.conv2d(x, layers["face.weight"], layers["face.bias"]))
    return scores[0, 0], x[0].permute(1, 2, 0)


def offsets_of(layers: Layers, features: torch.Tensor) -> torch.Tensor:
    """Box offsets (n, 4) of cells of the proposal network with these features (n, 32)."""
    return F.linear(features, layers["offsets.weight"].flatten(1), layers["offsets.bias"])


def refine_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The refinement network on (n, 3, 24, 24): face scores (n,) and box offsets (n, 4)."""
    x = _pool_triples(_conv(layers, "conv1", crops))
    x = _pool_triples(_conv(layers, "conv2", x))
    x = _dense(layers, _conv(layers, "conv3", x))
    return _score(_linear(layers, "face", x))[:, 0], _linear(layers, "offsets", x)


def describe_crops(layers: Layers, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The output network on (n, 3, 48, 48): face scores (n,), box offsets (n, 4), points (n, 10)."""
    x = _pool_triples(_conv(layers, "conv1", crops))
    x = _pool_triples(_conv(layers, "conv2", x))
    x = F.max_pool2d(_conv(layers, "conv3", x), 2, 2, ceil_mode=True)
    x = _dense(layers, _conv(layers, "conv4", x))
    return (
        _score(_linear(layers, "face", x))[:, 0],
        _linear(layers, "offsets", x),
        _linear(layers, "points", x),
    )


def _conv(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    x = F.conv2d(x, layers[f"{name}.weight"], layers[f"{name}.bias"])
    return F.prelu(x, layers[f"{name}.slope"])


def _pool_pairs(x: torch.Tensor) -> torch.Tensor:
    """Max-pooling of 2 by 2 as TensorFlow's SAME: at an odd end a window of one. Faster than `max_pool2d`."""
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), value=-math.inf)
    x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(x[..., ::2], x[..., 1::2])


def _pool_triples(x: torch.Tensor) -> torch.Tensor:
    """Max-pooling of 3 by 2: at an even end, where TensorFlow's SAME pads, a window of two.

    Of an odd side that is VALID too. Twice as fast as `max_pool2d`.
    """
    for axis in (2, 3):
        whole = x.shape[axis] // 2 * 2
        pooled = torch.maximum(_every_second(x, axis, 0, whole), _every_second(x, axis, 1, whole))
        third = _every_second(x, axis, 2, x.shape[axis])
        head = pooled.narrow(axis, 0, third.shape[axis])
        torch.maximum(head, third, out=head)
        x = pooled
    return x


def _every_second(x: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
    return x[:, :, start:stop:2] if axis == 2 else x[..., start:stop:2]


def _linear(layers: Layers, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layers[f"{name}.weight"], layers[f"{name}.bias"])


def _dense(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    return F.prelu(_linear(layers, "dense", x.flatten(1)), layers["dense.slope"])


def _score(logits: torch.Tensor) -> torch.Tensor:
    """Scores; saturated ones are equal, as in the original, whose order of candidates depends on it."""
    return torch.sigmoid(logits).clamp(max=_LARGEST_SCORE)
