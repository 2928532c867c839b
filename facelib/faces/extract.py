"""One shard: fetch, decode, measure, detect, align, measure. One row per face, or per image without one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.errors import AccessDeniedError, ObjectChangedError, ObjectNotFoundError, StorageError
from facelib.faces.chip import cut_chip, encode_chip
from facelib.faces.detector import Detector, DetectSettings
from facelib.faces.landmarks import PREDICTOR_ID, FivePointPredictor, box_from_detection
from facelib.faces.measures import measure_chip, measure_geometry
from facelib.faces.mtcnn_weights import weights_digest
from facelib.ids import settings_digest
from facelib.images.decode import DecodeSettings, decode
from facelib.images.measures import measure_image
from facelib.images.shards import ListedImage
from facelib.reasons import ImageReason
from facelib.storage import ObjectTooLargeError
from schemas.arrow import arrow_schema
from schemas.tables import EXTRACTED

EXTRACT_VERSION = "1"
"""Step this when a change of code changes any extracted value; it is part of every shard's name."""

_RETRYABLE = (ImageReason.READ_ERROR, ImageReason.ACCESS_DENIED)

Fetch = Callable[[str, str], bytes]
Row = dict[str, Any]


@dataclass(frozen=True)
class FaceModels:
    """The models one worker process holds."""

    detector: Detector
    predictor: FivePointPredictor


def extract(
    members: Sequence[ListedImage], fetch: Fetch, models: FaceModels, settings: DecodeSettings, threads: int = 8
) -> pa.Table:
    """Extracted rows (contract `extracted`) of all members, in their order.

    `fetch(uri, etag)` returns bytes or raises a StorageError; up to `threads` objects are fetched ahead
    while earlier ones are computed. Every member ends in at least one row. Errors that concern one
    object become its reason; any other error is a fault of the code and propagates.
    """
    rows: list[Row] = []
    for member, data in _prefetched(members, fetch, settings.max_object_bytes, threads):
        rows += _rows(member, data, models, settings)
    return pa.Table.from_pylist(rows, schema=arrow_schema(EXTRACTED))


def extract_id(decode: DecodeSettings, detect: DetectSettings) -> str:
    """Digest of everything but the bytes that an extracted row depends on; known without loading a model."""
    return settings_digest([EXTRACT_VERSION, asdict(decode), asdict(detect), weights_digest(), PREDICTOR_ID])


def has_retryable_failure(extracted: pa.Table) -> bool:
    """Whether a row failed in a way that may succeed when it is tried again."""
    return any(count_reason(extracted, reason) for reason in _RETRYABLE)


def count_reason(extracted: pa.Table, reason: ImageReason) -> int:
    """Rows with that reason."""
    return pc.sum(pc.equal(extracted.column("reason"), reason.value)).as_py() or 0


def _prefetched(
    members: Sequence[ListedImage], fetch: Fetch, max_bytes: int, threads: int
) -> Iterator[tuple[ListedImage, bytes | ImageReason]]:
    def load(member: ListedImage) -> bytes | ImageReason:
        if member.size_bytes > max_bytes:
            return ImageReason.TOO_LARGE
        try:
            return fetch(member.uri, member.etag)
        except StorageError as error:
            return _storage_reason(error)

    with ThreadPoolExecutor(threads) as pool:
        ahead: list[Future[bytes | ImageReason]] = []
        for i, member in enumerate(members):
            while len(ahead) < threads and i + len(ahead) < len(members):
                ahead.append(pool.submit(load, members[i + len(ahead)]))
            yield member, ahead.pop(0).result()


def _storage_reason(error: StorageError) -> ImageReason:
    if isinstance(error, ObjectNotFoundError):
        return ImageReason.NOT_FOUND
    if isinstance(error, ObjectChangedError):
        return ImageReason.CHANGED
    if isinstance(error, AccessDeniedError):
        return ImageReason.ACCESS_DENIED
    if isinstance(error, ObjectTooLargeError):
        return ImageReason.TOO_LARGE
    return ImageReason.READ_ERROR


def _rows(member: ListedImage, data: bytes | ImageReason, models: FaceModels, settings: DecodeSettings) -> list[Row]:
    if isinstance(data, ImageReason):
        return [{"image_id": member.image_id, "status": "rejected", "reason": data.value}]
    decoded = decode(data, settings)
    row: Row = {
        "image_id": member.image_id,
        "content_sha256": hashlib.sha256(data).hexdigest(),
        "format": decoded.format,
        "width_px": decoded.width_px,
        "height_px": decoded.height_px,
        "n_frames": decoded.n_frames,
        "exif_orientation": decoded.exif_orientation,
    }
    if decoded.pixels is None:
        return [row | {"status": "rejected", "reason": decoded.reason, "detail": decoded.detail}]
    row |= asdict(measure_image(decoded.pixels))
    faces = _faces(decoded.pixels, models)
    if not faces:
        return [row | {"n_faces": 0, "status": "rejected", "reason": ImageReason.NO_FACE.value}]
    return [row | {"n_faces": len(faces), "status": "ok"} | face for face in faces]


def _faces(image: npt.NDArray[np.uint8], models: FaceModels) -> list[Row]:
    found = models.detector.detect(image)
    order = np.lexsort((found.boxes[:, 1], found.boxes[:, 0], -_prominence(found.boxes, image.shape[:2])))
    return [_face(image, i, found.boxes[j], float(found.scores[j]), models) for i, j in enumerate(order)]


def _prominence(boxes: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Box area minus twice the squared distance of its centre from the image's, (n,) px².

    The rule by which FaceNet's alignment chooses the subject of a photograph among several faces
    (Sandberg, "facenet"). On 2,736 LFW photographs the largest face is a bystander in nine.
    """
    left, top, width, height = boxes.astype(np.float64).T
    offset = np.stack([left + width / 2 - shape[1] / 2, top + height / 2 - shape[0] / 2])
    return np.asarray(width * height - 2 * (offset**2).sum(axis=0))


def _face(
    image: npt.NDArray[np.uint8], index: int, box: npt.NDArray[np.float32], score: float, models: FaceModels
) -> Row:
    x, y, width, height = (float(v) for v in box)
    points = models.predictor.predict(image, box_from_detection(x, y, width, height))
    chip = cut_chip(image, points)
    measures = asdict(measure_geometry(points)) | asdict(measure_chip(chip))
    return {
        "face_index": index,
        "face_box_x_px": x,
        "face_box_y_px": y,
        "face_box_width_px": width,
        "face_box_height_px": height,
        "face_detection_score": min(score, 1.0),
        "face_landmarks_px": [float(v) for v in np.asarray(points).ravel()],
        **{f"face_{name}": value for name, value in measures.items()},
        "chip": encode_chip(chip),
    }
