"""Levels on a canvas: none touches another, and the network says of each what it says of it alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_canvas import lay_out
from facelib.faces.mtcnn_networks import load_proposer, offsets_of, propose
from facelib.faces.mtcnn_pyramid import pyramid_scales
from facelib.faces.mtcnn_weights import load_weights

pytestmark = pytest.mark.unit

IMAGES = [[(512, 512)], [(250, 250)] * 8, [(480, 640), (61, 333)], [(300, 1900)], [(1900, 300), (40, 40)], [(40, 40)]]


def levels_of(images: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(h * s), int(w * s)) for h, w in images for s in pyramid_scales(h, w, 20, 0.709))


@pytest.mark.parametrize("images", IMAGES)
def test_levels_lie_apart_at_even_places_and_fill_most_of_the_canvas(images: list[tuple[int, int]]) -> None:
    sizes = levels_of(images)
    layout = lay_out(sizes)
    assert layout.height % 2 == layout.width % 2 == 0
    taken = np.zeros((layout.height, layout.width), int)
    for (top, left), (height, width) in zip(layout.corners, sizes, strict=True):
        assert top % 2 == left % 2 == 0
        inside = taken[top : top + height, left : left + width]
        assert inside.shape == (height, width)
        inside += 1
    assert taken.max() == 1
    assert taken.mean() > 0.5


def plain_propose(level: npt.NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """The network as published, on one level (h, w, 3): probability of a face, and offsets."""
    w = {key: torch.from_numpy(value) for key, value in load_weights("pnet").items()}
    x = torch.from_numpy(level).permute(2, 0, 1)[None]
    x = F.prelu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"]), w["conv1.slope"])
    x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    x = F.prelu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), w["conv2.slope"])
    x = F.prelu(F.conv2d(x, w["conv3.weight"], w["conv3.bias"]), w["conv3.slope"])
    scores = F.conv2d(x, w["face.weight"], w["face.bias"]).softmax(dim=1)[0, 1]
    return scores, F.conv2d(x, w["offsets.weight"], w["offsets.bias"])[0].permute(1, 2, 0)


@pytest.mark.parametrize("images", IMAGES)
def test_a_level_on_a_canvas_is_seen_as_by_itself(images: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(len(images))
    sizes = levels_of(images)
    levels = [rng.uniform(-1, 1, (*size, 3)).astype(np.float32) for size in sizes]
    assert {side % 2 for size in sizes for side in size} == {0, 1}
    layout = lay_out(sizes)
    canvas = rng.uniform(-9, 9, (layout.height, layout.width, 3)).astype(np.float32)
    for level, (top, left) in zip(levels, layout.corners, strict=True):
        canvas[top : top + level.shape[0], left : left + level.shape[1]] = level
    layers = load_proposer()
    scores, features = propose(layers, torch.from_numpy(canvas).permute(2, 0, 1)[None], layout.edges)
    for i, level in enumerate(levels):
        expected_scores, expected_offsets = plain_propose(level)
        own = layout.owners == i
        assert own.sum() == expected_scores.numel()
        torch.testing.assert_close(scores[own], expected_scores.flatten(), rtol=0, atol=3e-6)
        offsets = offsets_of(layers, features[own])
        torch.testing.assert_close(offsets, expected_offsets.flatten(0, 1), rtol=0, atol=3e-5)
