"""MTCNN as its paper and the `mtcnn` 1.0.0 package describe it, one step after the other, without regard to speed.

It shares with `facelib.faces.mtcnn` the reader of the weights and nothing else. tests/unit/test_mtcnn_plain.py
holds it against records of the original; tests/real/test_detection.py holds the detector against it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_weights import load_weights

Floats = npt.NDArray[np.float64]
Image8 = npt.NDArray[np.uint8]

LARGEST_SCORE = 1 - 2**-24


class PlainMtcnn:
    """The detector: `detect` gives boxes (n, 4) x, y, width, height, scores (n,) and points (n, 5, 2), in px."""

    def __init__(
        self,
        min_face_px: float = 40,
        scale_factor: float = 0.709,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
    ) -> None:
        self.min_face_px, self.scale_factor, self.thresholds = min_face_px, scale_factor, thresholds
        self.pnet, self.rnet, self.onet = (
            {key: torch.from_numpy(value) for key, value in load_weights(net).items()}
            for net in ("pnet", "rnet", "onet")
        )

    def detect(self, image: Image8) -> tuple[Floats, Floats, Floats]:
        height, width = image.shape[:2]
        boxes = squares(self.first(image))
        boxes = squares(self.second(image, boxes))
        boxes, scores, points = self.third(image, boxes)
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width - 1)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height - 1)
        boxes[:, 2:] -= boxes[:, :2]
        seen = (boxes[:, 2:] > 0).all(axis=1)
        return boxes[seen], scores[seen], points[seen]

    def first(self, image: Image8) -> Floats:
        height, width = image.shape[:2]
        shortest = min(height, width)
        boxes, scores = [], []
        for k in range(round(-(math.log(shortest / 12) / math.log(self.scale_factor) + 1))):
            scale = 12 / self.min_face_px * self.scale_factor**k
            if int(shortest * scale) < 11:
                break
            size = (int(width * scale), int(height * scale))
            level = cv2.resize(image.astype(np.float64), size, interpolation=cv2.INTER_AREA)
            score, offsets = self.first_network(normalised(level.transpose(2, 0, 1)[None]))
            found = []
            for i, j in zip(*np.nonzero(score > self.thresholds[0]), strict=True):
                cell = np.array([2 * j + 1, 2 * i + 1, 2 * j + 12, 2 * i + 12])
                found.append((score[i, j], (cell + 11 * offsets[:, i, j]) / scale))
            for s, box in unsuppressed(found, 0.5):
                scores.append(s)
                boxes.append(box)
        return stacked([box for _, box in unsuppressed(list(zip(scores, boxes, strict=True)), 0.7)])

    def second(self, image: Image8, boxes: Floats) -> Floats:
        found = []
        for box in boxes:
            x = normalised(crop(image, box, 24))
            x = pooled(layer(self.rnet, "conv1", x), 3, same=True)
            x = pooled(layer(self.rnet, "conv2", x), 3, same=False)
            x = dense(self.rnet, layer(self.rnet, "conv3", x))
            score = face_score(linear(self.rnet, "face", x))[0]
            if score > self.thresholds[1]:
                found.append((score, moved(box, linear(self.rnet, "offsets", x)[0])))
        return stacked([box for _, box in unsuppressed(found, 0.7)])

    def third(self, image: Image8, boxes: Floats) -> tuple[Floats, Floats, Floats]:
        found = []
        for box in boxes:
            x = normalised(crop(image, box, 48))
            x = pooled(layer(self.onet, "conv1", x), 3, same=True)
            x = pooled(layer(self.onet, "conv2", x), 3, same=False)
            x = pooled(layer(self.onet, "conv3", x), 2, same=True)
            x = dense(self.onet, layer(self.onet, "conv4", x))
            score = face_score(linear(self.onet, "face", x))[0]
            if score > self.thresholds[2]:
                side = box[2:] - box[:2] + 1
                points = linear(self.onet, "points", x)[0].reshape(2, 5).T * side + box[:2] - 1
                found.append((score, np.concatenate((moved(box, linear(self.onet, "offsets", x)[0]), points.ravel()))))
        kept = unsuppressed(found, 0.7, over_smaller=True)
        rows = stacked([row for _, row in kept], 14)
        return rows[:, :4], np.array([score for score, _ in kept]), rows[:, 4:].reshape(-1, 5, 2)

    def first_network(self, x: torch.Tensor) -> tuple[npt.NDArray[np.float32], Floats]:
        x = pooled(layer(self.pnet, "conv1", x), 2, same=True)
        x = layer(self.pnet, "conv3", layer(self.pnet, "conv2", x))
        logits, offsets = (
            F.conv2d(x, self.pnet[f"{n}.weight"], self.pnet[f"{n}.bias"])[0] for n in ("face", "offsets")
        )
        score = face_score(logits.reshape(2, -1).T.numpy()).reshape(logits.shape[1:])
        return score, offsets.numpy().astype(np.float64)


def normalised(values: Floats) -> torch.Tensor:
    return torch.from_numpy(((values - 127.5) / 128).astype(np.float32))


def layer(net: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return F.prelu(F.conv2d(x, net[f"{name}.weight"], net[f"{name}.bias"]), net[f"{name}.slope"])


def pooled(x: torch.Tensor, size: int, same: bool) -> torch.Tensor:
    """Max-pooling with a step of 2; `same`: padded as TensorFlow does, the odd one at the right and bottom."""
    if same:
        totals = [max((math.ceil(n / 2) - 1) * 2 + size - n, 0) for n in x.shape[:1:-1]]
        x = F.pad(x, [side for total in totals for side in (total // 2, total - total // 2)], value=-math.inf)
    return F.max_pool2d(x, size, 2)


def dense(net: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return F.prelu(F.linear(x.flatten(1), net["dense.weight"], net["dense.bias"]), net["dense.slope"])


def linear(net: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> Floats:
    return F.linear(x, net[f"{name}.weight"], net[f"{name}.bias"]).numpy().astype(np.float64)


def face_score(logits: Floats) -> npt.NDArray[np.float32]:
    """Softmax of (n, 2), second class, in float32 as in TensorFlow; saturated scores are equal, as there."""
    softmax = torch.from_numpy(logits.astype(np.float32)).softmax(dim=1)
    return np.minimum(softmax[:, 1].numpy(), np.float32(LARGEST_SCORE))


def crop(image: Image8, box: Floats, side: int) -> Floats:
    """TensorFlow's `crop_and_resize` of one box, (1, 3, side, side); what lies outside is 127.5."""
    height, width = image.shape[:2]
    steps = np.arange(side) / (side - 1)
    xs = (box[0] + (box[2] - box[0]) * steps) / width * (width - 1)
    ys = (box[1] + (box[3] - box[1]) * steps) / height * (height - 1)
    left, top = (np.clip(np.floor(v).astype(int), 0, n - 2) for v, n in ((xs, width), (ys, height)))
    fx, fy = (xs - left)[None, :, None], (ys - top)[:, None, None]
    pixels = image.astype(np.float64)
    corner = [[pixels[np.ix_(top + a, left + b)] for b in (0, 1)] for a in (0, 1)]
    upper, lower = (row[0] * (1 - fx) + row[1] * fx for row in corner)
    values = upper * (1 - fy) + lower * fy
    values[(ys < 0) | (ys > height - 1)] = 127.5
    values[:, (xs < 0) | (xs > width - 1)] = 127.5
    return values.transpose(2, 0, 1)[None]


def moved(box: Floats, offsets: Floats) -> Floats:
    width, height = box[2:] - box[:2] + 1
    return box + offsets * [width, height, width, height]


def squares(boxes: Floats) -> Floats:
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0, keepdims=True)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate((middle - side / 2, middle + side / 2), axis=1)


def unsuppressed(
    found: list[tuple[float, Floats]], threshold: float, over_smaller: bool = False
) -> list[tuple[float, Floats]]:
    """Those, best first, that no better one overlaps by more than `threshold`, suppressed or not.

    Of equal scores the later is the better.
    """
    ranked = sorted(enumerate(found), key=lambda one: (-one[1][0], -one[0]))
    rows = [one for _, one in ranked]
    return [
        one
        for i, one in enumerate(rows)
        if not any(overlap(one[1], better[1], over_smaller) > threshold for better in rows[:i])
    ]


def overlap(one: Floats, other: Floats, over_smaller: bool) -> float:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    inter = max(right - left, 0) * max(bottom - top, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    base = min(areas) if over_smaller else sum(areas) - inter
    return float(inter / base) if base > 0 else 0.0


def stacked(rows: list[Floats], columns: int = 4) -> Floats:
    return np.stack(rows) if rows else np.empty((0, columns))
