"""Rows from bytes: pictures searched at a reduced scale, chips cut from enough pixels, coordinates of the full size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facelib.faces.chip import cut_chip, decode_chip
from facelib.faces.detector import BoxFit, Detections, DetectSettings
from facelib.faces.image_rows import RowSettings, image_rows
from facelib.faces.landmarks import FivePointPredictor
from facelib.faces.models import FaceModels
from facelib.images.decode import DecodeSettings

pytestmark = pytest.mark.unit

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 1600, 1200


class Detector:
    """Finds one square face, at given shares of the width, in every picture; remembers what it was given."""

    detector_id = "planted"
    box_fit = BoxFit(1.0, 0.0)

    def __init__(self, left: float, top: float, side: float) -> None:
        self.shares = np.array([left, top, side, side])
        self.calls: list[tuple[list[tuple[int, ...]], list[float]]] = []

    def detect_many(self, images: Sequence[Pixels], smallest_px: Sequence[float] | None = None) -> list[Detections]:
        self.calls.append(([image.shape for image in images], list(smallest_px or [])))
        return [
            Detections((self.shares[None] * i.shape[1]).astype(np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2)))
            for i in images
        ]


class Predictor:
    """Points at fixed shares of the box; remembers the pictures."""

    shares = np.array([(0.8, 0.4), (0.6, 0.4), (0.2, 0.4), (0.4, 0.4), (0.5, 0.7)])

    def __init__(self) -> None:
        self.images: list[Pixels] = []

    def predict_many(
        self, images: Sequence[Pixels], boxes: Sequence[tuple[int, int, int, int]]
    ) -> npt.NDArray[np.float64]:
        self.images += images
        return np.array([self.shares * (b[2] - b[0] + 1) + b[:2] for b in boxes])


def photograph(file_format: str = "JPEG", width: int = WIDTH, height: int = HEIGHT) -> bytes:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    buffer = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(buffer, file_format, quality=95)
    return buffer.getvalue()


def rows_of(
    data: Sequence[bytes], detector: Detector, predictor: Predictor, detect: DetectSettings
) -> list[list[dict]]:  # type: ignore[type-arg]
    models = FaceModels(detector, cast(FivePointPredictor, predictor))
    return image_rows(data, models, RowSettings(DecodeSettings(), detect))


@pytest.mark.parametrize(
    ("detect", "scale"),
    [
        (DetectSettings(min_face_px=40, min_face_share=0), 1.0),
        (DetectSettings(min_face_px=79, min_face_share=0), 1.0),
        (DetectSettings(min_face_px=80, min_face_share=0), 0.5),
        (DetectSettings(min_face_px=400, min_face_share=0), 0.125),
        (DetectSettings(min_face_px=40, min_face_share=0.2), 0.25),
    ],
)
def test_a_jpeg_is_searched_where_the_smallest_face_keeps_40_px(detect: DetectSettings, scale: float) -> None:
    detector, predictor = Detector(0.25, 0.25, 0.5), Predictor()
    ((row,),) = rows_of([photograph()], detector, predictor, detect)
    ((shapes, smallest),) = detector.calls
    assert shapes == [(HEIGHT * scale, WIDTH * scale, 3)]
    assert smallest == [detect.smallest_px(HEIGHT, WIDTH) * scale]
    assert row["decode_scale"] == scale
    assert (row["width_px"], row["height_px"], row["aspect"]) == (WIDTH, HEIGHT, WIDTH / HEIGHT)


def test_other_formats_are_searched_at_full_size() -> None:
    detector = Detector(0.25, 0.25, 0.5)
    ((row,),) = rows_of([photograph("PNG")], detector, Predictor(), DetectSettings(min_face_px=400))
    assert row["decode_scale"] == 1.0
    assert detector.calls == [([(HEIGHT, WIDTH, 3)], [400.0])]


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_coordinates_are_those_of_the_full_size(scale: float) -> None:
    detect = DetectSettings(min_face_px=round(40 / scale), min_face_share=0)
    ((row,),) = rows_of([photograph()], Detector(0.25, 0.125, 0.5), Predictor(), detect)
    box = [row[f"face_box_{name}_px"] for name in ("x", "y", "width", "height")]
    assert box == pytest.approx([400, 200, 800, 800])
    points = np.array(row["face_landmarks_px"]).reshape(5, 2)
    assert points == pytest.approx(Predictor.shares * 800 + (400, 200), abs=2)
    assert row["face_eye_distance_px"] == pytest.approx(0.4 * 800, abs=2)


def test_the_chip_of_a_small_face_is_cut_from_the_full_size() -> None:
    """A face of 176 px: at a quarter of the size, its chip would be blurred."""
    data, predictor = photograph(), Predictor()
    detect = DetectSettings(min_face_px=160, min_face_share=0)
    ((row,),) = rows_of([data], Detector(0.4, 0.4, 0.11), predictor, detect)
    assert row["decode_scale"] == 0.25
    assert predictor.images[0].shape == (HEIGHT, WIDTH, 3)
    expected = cut_chip(np.asarray(Image.open(io.BytesIO(data))), np.array(row["face_landmarks_px"]).reshape(5, 2))
    assert np.abs(decode_chip(row["chip"]).astype(int) - expected).mean() < 1


def test_the_chip_of_a_large_face_is_cut_from_the_pixels_at_hand() -> None:
    """A face of 800 px has 200 at a quarter of the size, more than its chip."""
    data, predictor = photograph(), Predictor()
    detect = DetectSettings(min_face_px=160, min_face_share=0)
    ((row,),) = rows_of([data], Detector(0.25, 0.125, 0.5), predictor, detect)
    assert predictor.images[0].shape == (HEIGHT / 4, WIDTH / 4, 3)
    expected = cut_chip(np.asarray(Image.open(io.BytesIO(data))), np.array(row["face_landmarks_px"]).reshape(5, 2))
    assert np.corrcoef(decode_chip(row["chip"]).ravel(), expected.ravel())[0, 1] > 0.99


def test_pictures_are_held_few_at_a_time_and_searched_together() -> None:
    """Of 10 pictures of 1.92 million px, 5 exceed 8 million."""
    detector = Detector(0.25, 0.25, 0.5)
    found = rows_of([b"", *[photograph()] * 10, b"text"], detector, Predictor(), DetectSettings(min_face_share=0))
    assert [len(shapes) for shapes, _ in detector.calls] == [5, 5, 0]
    assert [rows[0].get("reason") for rows in found] == ["empty", *[None] * 10, "not_an_image"]


def test_the_camera_is_in_the_row() -> None:
    tags = Image.Exif()
    tags[0x0110] = "Canon EOS 5D"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "JPEG", exif=tags)
    rows = rows_of([buffer.getvalue(), photograph()], Detector(0.1, 0.1, 0.3), Predictor(), DetectSettings())
    assert [of_image[0]["camera"] for of_image in rows] == ["Canon EOS 5D", None]
