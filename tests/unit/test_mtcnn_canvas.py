"""Levels on a canvas: none touches another, and the network says of each what it says of it alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_canvas import lay_out, paint
from facelib.faces.mtcnn_networks import load_layers, offsets_of, propose
from facelib.faces.mtcnn_pyramid import pyramid_scales
from facelib.faces.mtcnn_weights import load_weights

pytestmark = pytest.mark.unit

SIZES = [(512, 512), (250, 250), (480, 640), (300, 1900), (1900, 300), (61, 333), (40, 40)]


def levels_of(height: int, width: int) -> list[tuple[int, int]]:
    return [(int(height * s), int(width * s)) for s in pyramid_scales(height, width, 20, 0.709)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_levels_lie_apart_at_even_places(height: int, width: int) -> None:
    sizes = levels_of(height, width)
    places, canvas_height, canvas_width = lay_out(sizes)
    taken = np.zeros((canvas_height, canvas_width), int)
    for place, size in zip(places, sizes, strict=True):
        assert (place.height, place.width) == size
        assert place.top % 2 == place.left % 2 == canvas_height % 2 == canvas_width % 2 == 0
        inside = taken[place.top : place.top + place.height, place.left : place.left + place.width]
        assert inside.shape == size
        inside += 1
    assert taken.max() == 1


def plain_propose(level: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[type-arg]
    """The network as published, on one level (h, w, 3): probability of a face, and offsets."""
    w = {key: torch.from_numpy(value) for key, value in load_weights("pnet").items()}
    x = torch.from_numpy(level).permute(2, 0, 1)[None]
    x = F.prelu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"]), w["conv1.slope"])
    x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    x = F.prelu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), w["conv2.slope"])
    x = F.prelu(F.conv2d(x, w["conv3.weight"], w["conv3.bias"]), w["conv3.slope"])
    scores = F.conv2d(x, w["face.weight"], w["face.bias"]).softmax(dim=1)[0, 1]
    return scores, F.conv2d(x, w["offsets.weight"], w["offsets.bias"])[0].permute(1, 2, 0)


@pytest.mark.parametrize(("height", "width"), [(250, 250), (161, 120), (97, 203)])
def test_the_network_sees_each_level_as_if_alone(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    levels = [rng.uniform(-1, 1, (*size, 3)).astype(np.float32) for size in levels_of(height, width)]
    assert {side % 2 for level in levels for side in level.shape[:2]} == {0, 1}
    canvas, places = paint(levels)
    rims = [rim for place in places for rim in place.rims]
    layers = load_layers("pnet")
    scores, features = propose(layers, torch.from_numpy(canvas).permute(2, 0, 1)[None], rims)
    for level, place in zip(levels, places, strict=True):
        expected_scores, expected_offsets = plain_propose(level)
        torch.testing.assert_close(scores[place.output], expected_scores, rtol=0, atol=2e-6)
        offsets = offsets_of(layers, features[place.output])
        torch.testing.assert_close(offsets, expected_offsets, rtol=0, atol=2e-5)
