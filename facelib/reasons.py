"""Why an image or a face was set aside. Values are stored in the `reason` columns."""

from __future__ import annotations

from enum import StrEnum


class ImageReason(StrEnum):
    """Why an image row has status `rejected`."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    DECODE_ERROR = "decode_error"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    WORKER_CRASH = "worker_crash"
    NOT_FOUND = "not_found"
    CHANGED = "changed"
    ACCESS_DENIED = "access_denied"
    READ_ERROR = "read_error"
    NO_FACE = "no_face"


class FaceReason(StrEnum):
    """Why a face row has `is_usable` false."""

    TOO_SMALL = "too_small"
    LOW_SCORE = "low_score"
    LOW_QUALITY = "low_quality"


IMAGE_REASON_MEANING: dict[ImageReason, str] = {
    ImageReason.EMPTY: "the object holds zero bytes",
    ImageReason.NOT_AN_IMAGE: "the bytes are not those of any known image format",
    ImageReason.UNSUPPORTED_FORMAT: "an image format outside the allow-list",
    ImageReason.TRUNCATED: "the image data ends before the picture does",
    ImageReason.DECODE_ERROR: "the decoder failed on the bytes",
    ImageReason.TOO_MANY_PIXELS: "the header announces more pixels than decode.max_pixels",
    ImageReason.TOO_LARGE: "the object is larger than decode.max_object_bytes; it was not read",
    ImageReason.TIMEOUT: "its extraction took longer than decode.timeout_s and was cut off",
    ImageReason.WORKER_CRASH: "its extraction, tried alone, killed its process or broke down; detail says how",
    ImageReason.NOT_FOUND: "the object vanished between listing and reading",
    ImageReason.CHANGED: "the object was overwritten between listing and reading",
    ImageReason.ACCESS_DENIED: "reading the object is not allowed; the next run tries again",
    ImageReason.READ_ERROR: "reading failed after all retries; the next run tries again",
    ImageReason.NO_FACE: "decoded, but no face was detected",
}

FACE_REASON_MEANING: dict[FaceReason, str] = {
    FaceReason.TOO_SMALL: "the eyes are closer together than quality.min_eye_distance_px",
    FaceReason.LOW_SCORE: "the detector's score is below quality.min_detection_score",
    FaceReason.LOW_QUALITY: "quality_score is below quality.min_quality",
}
