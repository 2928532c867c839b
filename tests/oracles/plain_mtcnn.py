"""The cascade of MTCNN written down plainly: one image, one level, one network at a time; no retry.

It shares weights and box arithmetic (facelib/faces/mtcnn_boxes.py) with the fast detector, and nothing that was made
fast: levels are resized by OpenCV, networks are those of the paper's figure, crops are gathered pixel by pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.detector import DetectSettings
from facelib.faces.mtcnn_boxes import by_score, cell_boxes, clip_boxes, keep_by_nms, refine, to_square
from facelib.faces.mtcnn_pyramid import pyramid_scales
from facelib.faces.mtcnn_weights import Weights, load_weights

Boxes = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]


class PlainMtcnn:
    """`detect` gives boxes (n, 4) x, y, width, height and scores (n,), best first."""

    def __init__(self, settings: DetectSettings) -> None:
        self.settings = settings
        self.nets = {net: load_weights(net) for net in ("pnet", "rnet", "onet")}

    def detect(self, image: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        height, width = image.shape[:2]
        first, second, third = self.settings.thresholds
        boxes, _ = self._proposals(image, first)
        for net, side, threshold in (("rnet", 24, second), ("onet", 48, third)):
            if not len(boxes):
                return boxes, np.empty(0, np.float32)
            score, offsets = self._judge(net, np.stack([_crop(image, box, side) for box in boxes]))
            order = by_score(score)
            order = order[score[order] > threshold]
            boxes, score = refine(boxes[order], offsets[order]), score[order]
            kept = keep_by_nms(boxes, 0.7, over="min" if net == "onet" else "union")
            boxes, score = boxes[kept], score[kept]
            boxes = clip_boxes(boxes, height, width) if net == "onet" else to_square(boxes)
        boxes[:, 2:] -= boxes[:, :2]
        seen = (boxes[:, 2:] > 0).all(axis=1)
        return boxes[seen], score[seen]

    def _proposals(self, image: npt.NDArray[np.uint8], threshold: float) -> tuple[Boxes, Scores]:
        height, width = image.shape[:2]
        found = [(np.empty((0, 4)), np.empty(0, np.float32))]
        smallest = self.settings.smallest_px(height, width)
        for scale in pyramid_scales(height, width, smallest, self.settings.scale_factor):
            size = int(width * scale), int(height * scale)
            level = (cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA) - 127.5) / 128
            score, offsets = self._scan(level)
            rows, columns = np.nonzero(score > threshold)
            order = by_score(score[rows, columns])
            rows, columns = rows[order], columns[order]
            boxes = cell_boxes(rows, columns, offsets[:, rows, columns].T.astype(np.float64)) / scale
            kept = keep_by_nms(boxes, 0.5)
            found.append((boxes[kept], score[rows, columns][kept]))
        boxes, score = (np.concatenate(part) for part in zip(*found, strict=True))
        order = by_score(score)
        order = order[keep_by_nms(boxes[order], 0.7)]
        return to_square(boxes[order]), score[order]

    @torch.inference_mode()
    def _scan(self, level: npt.NDArray[np.float32]) -> tuple[Scores, Scores]:
        w = self.nets["pnet"]
        x = F.max_pool2d(_conv(w, "conv1", torch.from_numpy(level).permute(2, 0, 1)[None]), 2, 2, ceil_mode=True)
        x = _conv(w, "conv3", _conv(w, "conv2", x))
        face, offsets = (F.conv2d(x, _t(w, f"{h}.weight"), _t(w, f"{h}.bias"))[0] for h in ("face", "offsets"))
        return face.softmax(dim=0)[1].clamp(max=1 - 2**-24).numpy(), offsets.numpy()

    @torch.inference_mode()
    def _judge(self, net: str, crops: Scores) -> tuple[Scores, Boxes]:
        w = self.nets[net]
        x = torch.from_numpy(crops).permute(0, 3, 1, 2)
        x = F.max_pool2d(_conv(w, "conv1", x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(_conv(w, "conv2", x), 3, 2)
        x = _conv(w, "conv3", x)
        if net == "onet":
            x = _conv(w, "conv4", F.max_pool2d(x, 2, 2, ceil_mode=True))
        x = F.prelu(F.linear(x.flatten(1), _t(w, "dense.weight"), _t(w, "dense.bias")), _t(w, "dense.slope"))
        face, offsets = (F.linear(x, _t(w, f"{head}.weight"), _t(w, f"{head}.bias")) for head in ("face", "offsets"))
        return face.softmax(dim=1)[:, 1].clamp(max=1 - 2**-24).numpy(), offsets.numpy().astype(np.float64)


def _conv(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.prelu(F.conv2d(x, _t(w, f"{name}.weight"), _t(w, f"{name}.bias")), _t(w, f"{name}.slope"))


def _t(w: Weights, key: str) -> torch.Tensor:
    return torch.from_numpy(w[key])


def _crop(image: npt.NDArray[np.uint8], box: Boxes, side: int) -> Scores:
    """(side, side, 3): bilinear, 0 outside, sampled as TensorFlow's `crop_and_resize` does."""
    height, width = image.shape[:2]
    x = np.linspace(box[0], box[2], side) * (width - 1) / width
    y = np.linspace(box[1], box[3], side) * (height - 1) / height
    left, top = np.clip(np.floor(x), 0, width - 2).astype(int), np.clip(np.floor(y), 0, height - 2).astype(int)
    fx, fy = (x - left)[None, :, None], (y - top)[:, None, None]
    scaled = (image.astype(np.float64) - 127.5) / 128
    upper = scaled[top][:, left] * (1 - fx) + scaled[top][:, left + 1] * fx
    lower = scaled[top + 1][:, left] * (1 - fx) + scaled[top + 1][:, left + 1] * fx
    inside = ((y >= 0) & (y <= height - 1))[:, None, None] & ((x >= 0) & (x <= width - 1))[None, :, None]
    return np.where(inside, upper * (1 - fy) + lower * fy, 0).astype(np.float32)
