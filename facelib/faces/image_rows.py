"""Bytes of images to extracted rows: decode, measure, detect, align, measure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facelib.faces.chip import cut_chip, encode_chip
from facelib.faces.detector import Detections, DetectSettings
from facelib.faces.landmarks import box_from_detection
from facelib.faces.measures import measure_chip, measure_geometry
from facelib.faces.models import FaceModels, load_models, one_thread
from facelib.images.decode import Decoded, DecodeSettings, decode
from facelib.images.measures import measure_image
from facelib.images.pixels import Pixels
from facelib.isolation import Work
from facelib.reasons import ImageReason

Row = dict[str, Any]

_BATCH_PIXELS = 8_000_000
"""Pixels, of full-size images, held at a time; the images of a batch are searched together."""
_DETECT_PX = 40.0
"""Side that the smallest face wanted keeps where a JPEG is decoded at a reduced scale."""
_CHIP_PX = 100.0
"""Side of a face's box from which its chip gains nothing from more pixels: 150 px of chip cover 1.5 sides."""


@dataclass(frozen=True)
class RowSettings:
    """Everything but the bytes that the rows depend on."""

    decode: DecodeSettings
    detect: DetectSettings


@dataclass(frozen=True)
class _Image:
    data: bytes
    decoded: Decoded
    row: Row

    @property
    def pixels(self) -> Pixels:
        assert self.decoded.pixels is not None
        return self.decoded.pixels

    @property
    def scale(self) -> float:
        assert self.decoded.scale is not None
        return self.decoded.scale


@dataclass(frozen=True)
class _Face:
    """A detected face; `box` (4,) x, y, width, height in px of the full-size image."""

    box: npt.NDArray[np.float64]
    score: float


def isolated_work(settings: RowSettings) -> Work:
    """`image_rows` with models of its own, for `facelib.isolation`."""
    one_thread()
    models = load_models(settings.detect)
    return lambda items: image_rows(items, models, settings)


def image_rows(items: Sequence[bytes], models: FaceModels, settings: RowSettings) -> list[list[Row]]:
    """Rows (contract `extracted`, without image_id and null columns) of each image's bytes, in their order.

    One row per face, or per image without one.
    """
    return [rows for batch in _decoded(items, settings) for rows in _batch_rows(batch, models, settings)]


def _batch_rows(batch: Sequence[_Image], models: FaceModels, settings: RowSettings) -> Iterator[list[Row]]:
    readable = [image for image in batch if image.decoded.pixels is not None]
    found = _detect(readable, models, settings.detect)
    cut_from = [_pixels_for_chips(image, faces, settings) for image, faces in zip(readable, found, strict=True)]
    points = iter(_landmarks(cut_from, found, models))
    searched = iter(zip(found, cut_from, strict=True))
    for image in batch:
        if image.decoded.pixels is None:
            yield [image.row]
            continue
        faces, (pixels, scale) = next(searched)
        if not faces:
            yield [image.row | {"n_faces": 0, "status": "rejected", "reason": ImageReason.NO_FACE}]
            continue
        outcome = image.row | {"n_faces": len(faces), "status": "ok"}
        yield [outcome | _face_row(pixels, scale, i, face, next(points)) for i, face in enumerate(faces)]


def _decoded(items: Sequence[bytes], settings: RowSettings) -> Iterator[list[_Image]]:
    """Decoded and measured images, as many at a time as `_BATCH_PIXELS` allows."""
    batch: list[_Image] = []
    held = 0
    for data in items:
        image = _decode(data, settings)
        batch.append(image)
        held += 0 if image.decoded.pixels is None else image.row["width_px"] * image.row["height_px"]
        if held >= _BATCH_PIXELS:
            yield batch
            batch, held = [], 0
    yield batch


def _decode(data: bytes, settings: RowSettings) -> _Image:
    decoded = decode(data, settings.decode, lambda h, w: min(1.0, _DETECT_PX / settings.detect.smallest_px(h, w)))
    row: Row = {
        "content_sha256": hashlib.sha256(data).hexdigest(),
        "format": decoded.format,
        "width_px": decoded.width_px,
        "height_px": decoded.height_px,
        "aspect": decoded.width_px / decoded.height_px if decoded.width_px and decoded.height_px else None,
        "n_frames": decoded.n_frames,
        "exif_orientation": decoded.exif_orientation,
        "camera": decoded.camera,
        "jpeg_quality": decoded.jpeg_quality,
        "decode_scale": decoded.scale,
    }
    if decoded.pixels is None:
        row |= {"status": "rejected", "reason": decoded.reason, "detail": decoded.detail}
    else:
        row |= asdict(measure_image(decoded.pixels))
    return _Image(data, decoded, row)


def _detect(images: Sequence[_Image], models: FaceModels, settings: DetectSettings) -> list[list[_Face]]:
    """Faces of each image, most prominent first."""
    smallest = [settings.smallest_px(image.row["height_px"], image.row["width_px"]) * image.scale for image in images]
    found = models.detector.detect_many([image.pixels for image in images], smallest)
    return [_in_order(faces, image) for faces, image in zip(found, images, strict=True)]


def _in_order(found: Detections, image: _Image) -> list[_Face]:
    boxes = found.boxes.astype(np.float64) / image.scale
    prominence = _prominence(boxes, image.row["height_px"], image.row["width_px"])
    order = np.lexsort((boxes[:, 1], boxes[:, 0], -prominence))
    return [_Face(boxes[i], float(found.scores[i])) for i in order]


def _prominence(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Box area minus twice the squared distance of its centre from the image's, (n,) px².

    The rule by which FaceNet's alignment chooses the subject of a photograph among several faces
    (Sandberg, "facenet"). On 2,736 LFW photographs the largest face is a bystander in nine.
    """
    left, top, box_width, box_height = boxes.T
    offset = np.stack([left + box_width / 2 - width / 2, top + box_height / 2 - height / 2])
    return np.asarray(box_width * box_height - 2 * (offset**2).sum(axis=0))


def _pixels_for_chips(image: _Image, faces: Sequence[_Face], settings: RowSettings) -> tuple[Pixels, float]:
    """Pixels from which the chip of the smallest face loses nothing, and their scale: those at hand if they do."""
    smallest = min((float(face.box[2:].mean()) for face in faces), default=math.inf)
    wanted = min(1.0, _CHIP_PX / max(smallest, 1.0))
    if image.scale < wanted:
        larger = decode(image.data, settings.decode, lambda height, width: wanted)
        if larger.pixels is not None and larger.scale is not None:
            return larger.pixels, larger.scale
    return image.pixels, image.scale


def _landmarks(
    cut_from: Sequence[tuple[Pixels, float]], found: Sequence[Sequence[_Face]], models: FaceModels
) -> npt.NDArray[np.float64]:
    """Landmarks (n, 5, 2) of all faces of all images, in px of the pixels that chips are cut from."""
    fit = models.detector.box_fit
    images = [pixels for (pixels, _), faces in zip(cut_from, found, strict=True) for _ in faces]
    boxes = [
        box_from_detection(*_sides(face.box * scale), fit)
        for (_, scale), faces in zip(cut_from, found, strict=True)
        for face in faces
    ]
    return models.predictor.predict_many(images, boxes)


def _sides(box: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    return x, y, width, height


def _face_row(pixels: Pixels, scale: float, index: int, face: _Face, points: npt.NDArray[np.float64]) -> Row:
    chip = cut_chip(pixels, points)
    full = (points + 0.5) / scale - 0.5
    measures = asdict(measure_geometry(full)) | asdict(measure_chip(chip))
    x, y, width, height = face.box.tolist()
    return {
        "face_index": index,
        "face_box_x_px": x,
        "face_box_y_px": y,
        "face_box_width_px": width,
        "face_box_height_px": height,
        "face_detection_score": min(face.score, 1.0),
        "face_landmarks_px": full.ravel().tolist(),
        **{f"face_{name}": value for name, value in measures.items()},
        "chip": encode_chip(chip),
    }
