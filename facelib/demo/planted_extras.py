"""What a demonstration archive holds besides ordinary portraits: duplicates, oddities, groups and damage."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facelib.demo.archive_plan import STREAMS, ArchivePlan, subject_name
from facelib.demo.identity import Identity
from facelib.demo.planted_pictures import encoded
from facelib.demo.portrait import render_background, render_portrait
from facelib.reasons import ImageReason


class Extras:
    """Adds to `files` and `subject_of` everything that is not an ordinary portrait."""

    def __init__(
        self,
        plan: ArchivePlan,
        people: list[Identity],
        originals: list[str],
        files: dict[str, bytes],
        subject_of: dict[str, str],
    ) -> None:
        self.plan, self.people, self.originals = plan, people, originals
        self.files, self.subject_of = files, subject_of
        self.rng = np.random.default_rng([plan.seed, STREAMS["extras"]])

    def add(self) -> dict[str, Any]:
        """Their record for `planted.json`."""
        count = self.plan.exact_duplicates + self.plan.near_duplicates
        chosen = [self.originals[i] for i in self.rng.permutation(len(self.originals))[:count]]
        return {
            "exact_duplicates": self._exact(chosen[: self.plan.exact_duplicates]),
            "near_duplicates": self._near(chosen[self.plan.exact_duplicates :]),
            "unusual_but_readable": self._unusual(),
            "group_pictures": self._groups(),
            "rejected": self._damaged(),
        }

    def _exact(self, chosen: list[str]) -> list[dict[str, str]]:
        pairs = []
        for k, source in enumerate(chosen):
            name = f"copies/copy_{k:02d}.jpg"
            self.files[name], self.subject_of[name] = self.files[source], self.subject_of[source]
            pairs.append({"original": source, "copy": name})
        return pairs

    def _near(self, chosen: list[str]) -> list[dict[str, str]]:
        pairs = []
        for k, source in enumerate(chosen):
            picture = Image.open(io.BytesIO(self.files[source])).convert("RGB")
            change = ("re-encoded", "resized", "brighter", "png")[k % 4]
            name = f"copies/near_{k:02d}.{'png' if change == 'png' else 'jpg'}"
            if change == "resized":
                picture = picture.resize((round(picture.width * 0.85), round(picture.height * 0.85)))
            elif change == "brighter":
                picture = picture.point(lambda v: min(255, round(v * 1.06)))
            quality = 70 if change == "re-encoded" else 90
            data = encoded(picture, "PNG") if change == "png" else encoded(picture, "JPEG", quality=quality)
            self.files[name], self.subject_of[name] = data, self.subject_of[source]
            pairs.append({"original": source, "copy": name, "change": change})
        return pairs

    def _portrait(self, index: int) -> Image.Image:
        return Image.fromarray(render_portrait(self.people[index % len(self.people)], self.rng, self.plan.size))

    def _unusual(self) -> dict[str, str]:
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: the viewer turns the stored picture 90° clockwise
        deep = np.asarray(self._portrait(2), np.uint16)[..., ::-1] * 257
        made = {
            "odd/png_named_jpg.jpg": ("PNG bytes", encoded(self._portrait(0), "PNG")),
            "odd/cmyk.jpg": ("CMYK JPEG", encoded(self._portrait(1).convert("CMYK"), "JPEG", quality=90)),
            "odd/sixteen_bit.png": ("16-bit PNG", cv2.imencode(".png", deep)[1].tobytes()),
            "odd/rotated.jpg": (
                "EXIF orientation 6",
                encoded(self._portrait(3).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif),
            ),
        }
        for k, (name, (_, data)) in enumerate(made.items()):
            self.files[name], self.subject_of[name] = data, subject_name(k % len(self.people))
        return {name: what for name, (what, _) in made.items()}

    def _groups(self) -> dict[str, list[str]]:
        pictures = {}
        for k in range(self.plan.group_pictures):
            left, right = (int(i) for i in self.rng.choice(len(self.people), 2, replace=False))
            size = self.plan.size or 420
            pair = [render_portrait(self.people[i], self.rng, size) for i in (left, right)]
            name = f"groups/pair_{k}.jpg"
            self.files[name] = encoded(Image.fromarray(np.hstack(pair)), "JPEG", quality=90)
            pictures[name] = [subject_name(left), subject_name(right)]
        return pictures

    def _damaged(self) -> dict[str, str]:
        whole = self.files[self.originals[0]]
        scene = self._scene(32)
        damaged = {
            "damaged/cut_off.jpg": (whole[: len(whole) * 6 // 10], ImageReason.TRUNCATED),
            "damaged/zero_bytes.jpg": (b"", ImageReason.EMPTY),
            "damaged/notes.jpg": (b"These are the notes of the shoot.\n" * 40, ImageReason.NOT_AN_IMAGE),
            "damaged/huge.png": (_png_header(60000, 60000), ImageReason.TOO_MANY_PIXELS),
            "damaged/scan.ppm": (encoded(scene, "PPM"), ImageReason.UNSUPPORTED_FORMAT),
            "scenery/landscape.jpg": (encoded(self._landscape(), "JPEG", quality=88), ImageReason.NO_FACE),
            "scenery/gradient.jpg": (encoded(self._scene(320), "JPEG", quality=88), ImageReason.NO_FACE),
            "scenery/static.png": (encoded(self._static(), "PNG"), ImageReason.NO_FACE),
        }
        self.files.update({name: data for name, (data, _) in damaged.items()})
        return {name: str(reason) for name, (_, reason) in damaged.items()}

    def _scene(self, size: int) -> Image.Image:
        pixels = render_background(self.rng, size)
        return Image.fromarray((pixels * 255).astype(np.uint8))

    def _static(self) -> Image.Image:
        return Image.fromarray(self.rng.integers(0, 256, (240, 320, 3), np.uint8))

    def _landscape(self) -> Image.Image:
        y = np.linspace(0, 1, 320)[:, None, None]
        sky = np.array([90, 140, 210]) + y * np.array([120, 80, 20])
        pixels = np.broadcast_to(sky, (320, 480, 3)).copy()
        x = np.arange(480)
        for k, colour in enumerate(([110, 130, 140], [70, 105, 80], [45, 85, 40])):
            waves = self.rng.uniform(10, 30, 3)[:, None] * np.sin(x / self.rng.uniform(30, 90, (3, 1)) + k)
            ridge = 150 + 50 * k + waves.sum(0)
            pixels[np.arange(320)[:, None] > ridge] = colour
        pixels += self.rng.normal(0, 4, pixels.shape)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _png_header(width: int, height: int) -> bytes:
    """A well-formed 8-bit RGB PNG whose header announces width × height, with one row of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes(1 + 3 * width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")
