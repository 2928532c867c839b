"""Embeddings against dlib's own network."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.data import astronaut

from facelib.assets import package_file
from facelib.embeddings.model import EmbeddingModel, load_model
from facelib.errors import ConfigError
from facelib.faces.chip import CHIP_PX, cut_chip

dlib = pytest.importorskip("dlib", reason="dlib-bin is the oracle of these tests")

pytestmark = pytest.mark.unit

Chips = npt.NDArray[np.uint8]

NETWORK_FILE = package_file("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat")
FACE_POINTS = np.array([(255, 104), (238, 105), (195, 101), (212, 103), (224, 135)], np.float64)


def faces() -> Chips:
    """Shifted, scaled and turned chips of one photographed face, with the channels swapped in some."""
    rng = np.random.default_rng(40)
    centre = FACE_POINTS.mean(axis=0)
    chips = []
    for scale in (0.6, 0.9, 1.0, 1.2, 1.6, 2.2):
        points = centre + scale * (FACE_POINTS - centre) + rng.normal(0, 4, 2)
        chips.append(cut_chip(astronaut(), points + rng.normal(0, 2, (5, 2))))
    return np.stack(chips + [c[..., ::-1] for c in chips[:3]] + [c[:, ::-1] for c in chips[:2]])


def patterns() -> Chips:
    rng = np.random.default_rng(41)
    shape = (CHIP_PX, CHIP_PX, 3)
    ramp = np.linspace(0, 255, CHIP_PX)
    smooth = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 8)
    chips = [
        np.zeros(shape),
        np.full(shape, 255),
        np.broadcast_to(ramp[:, None, None], shape),
        np.broadcast_to(ramp[None, :, None], shape),
        np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 128.0), axis=2),
        np.broadcast_to((np.indices(shape[:2]).sum(axis=0) // 10 % 2 * 255)[..., None], shape),
        rng.uniform(0, 256, shape),
        rng.normal(128, 20, shape),
        (rng.random(shape) < 0.05) * 255,
        128 + 60 * smooth / smooth.std(),
        np.broadcast_to(rng.uniform(0, 256, shape[:2])[..., None], shape),
    ]
    return np.stack([np.clip(c, 0, 255).astype(np.uint8) for c in chips])


def cartoons() -> Chips:
    """Drawn faces: a skin-coloured ellipse with eyes, nose and mouth."""
    rng = np.random.default_rng(42)
    chips = []
    for _ in range(6):
        chip = np.full((CHIP_PX, CHIP_PX, 3), rng.integers(0, 256, 3), np.uint8)
        skin = tuple(int(v) for v in rng.integers((120, 70, 50), (250, 200, 170)))
        axes = (int(rng.integers(45, 60)), int(rng.integers(58, 72)))
        cv2.ellipse(chip, (75, 80), axes, 0, 0, 360, skin, -1, cv2.LINE_AA)
        for x in (52, 98):
            cv2.circle(chip, (x, 60), int(rng.integers(4, 9)), (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(chip, (x, 60), 3, (30, 20, 10), -1, cv2.LINE_AA)
        cv2.line(chip, (75, 70), (75, int(rng.integers(85, 95))), (60, 30, 20), 2, cv2.LINE_AA)
        cv2.ellipse(chip, (75, 112), (int(rng.integers(10, 25)), 6), 0, 0, 180, (150, 20, 30), 2, cv2.LINE_AA)
        chips.append(chip)
    return np.stack(chips)


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    torch.set_num_threads(1)
    return load_model()


@pytest.mark.parametrize("make", [faces, patterns, cartoons])
def test_embeddings_equal_dlib(make, model):
    chips = make()
    oracle = dlib.face_recognition_model_v1(str(NETWORK_FILE))
    expected = np.array([oracle.compute_face_descriptor(np.ascontiguousarray(c)) for c in chips])
    assert np.abs(model.embed(chips) - expected).max() < 1e-5


def test_at_least_24_chips_are_compared():
    assert len(faces()) + len(patterns()) + len(cartoons()) >= 24


def test_channel_order_matters(model):
    """Swapped channels are far beyond the parity bound, though close to a cosine."""
    chip = faces()[2:3]
    right, swapped = model.embed(chip)[0], model.embed(np.ascontiguousarray(chip[..., ::-1]))[0]
    assert np.abs(right - swapped).max() > 1e-2


def test_any_number_of_chips(model):
    """Rows do not depend on the other rows of the batch, across the internal batches too."""
    chips = np.concatenate((patterns(), cartoons(), faces(), cartoons()))
    assert len(chips) > 32
    together = model.embed(chips)
    assert together.shape == (len(chips), model.dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[[0, -1]], model.embed(chips[[0, -1]]), atol=1e-5)
    np.testing.assert_allclose(together[-6:], together[11:17], atol=1e-5)
    assert model.embed(chips[:0]).shape == (0, model.dim)


def test_identity_of_the_model(model):
    assert model.model_id == "dlib_resnet_v1-55533b28"
    assert (model.dim, model.input_px) == (128, CHIP_PX)


def test_thread_count_is_left_alone():
    before = torch.get_num_threads()
    load_model().embed(cartoons()[:1])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("shape", "dtype"), [((2, 112, 112, 3), np.uint8), ((1, 150, 150, 3), np.float32)])
def test_other_chips_are_refused(shape, dtype, model):
    with pytest.raises(ConfigError, match="chips are"):
        model.embed(np.zeros(shape, dtype))


def test_unknown_model_names_the_known():
    with pytest.raises(ConfigError, match="dlib_resnet_v1"):
        load_model("arcface")


def test_the_protocol_module_loads_no_back_end():
    code = "import sys, facelib.embeddings.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
