"""Reader of dlib's serialisation format, for the two model files the default chain uses.

The format, as dlib's `serialize()` functions write it:

- integer: a control byte (low four bits: number of bytes that follow; bit 7: negative), then the
  magnitude, little-endian;
- floating point number: two integers, mantissa and exponent; the value is mantissa x 2**exponent;
- matrix: the negated numbers of rows and columns, then the elements row by row;
- sequence: an integer length, then the items; string: an integer length, then the bytes;
- bool: one ASCII byte, "0" or "1";
- tensor: a version (2), four integers (samples, k, rows, columns), then raw little-endian float32.

A network stores the version integers of all its layers first, outermost layer first, and then the
layers in forward order: name ("con_4"), parameters, bools, three tensors of gradients and outputs (empty
here). The first layer has one integer more, the number of samples each input makes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facelib.errors import ConfigError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_MAX_VERSION = 3
_STEM = ("con_4", "affine_", "relu_", "max_pool_2")
_BLOCK = ("con_4", "affine_", "relu_", "con_4", "affine_")
_ADD = ("add_prev_", "relu_")
_HEAD = ("avg_pool_2", "fc_2")


class DlibReader:
    """Sequential reader of one file; raises ConfigError when the file ends early."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._data = path.read_bytes()
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether every byte has been read."""
        return self._at == len(self._data)

    def error(self, expected: str) -> ConfigError:
        """The error that says what was expected where."""
        return ConfigError(
            f"model file {self._name} is not the dlib file expected ({expected} at byte {self._at}): "
            "reinstall its package"
        )

    def integer(self) -> int:
        """One signed integer."""
        at = self._at
        if at >= len(self._data):
            raise self.error("an integer")
        control = self._data[at]
        end = at + 1 + (control & 15)
        magnitude = int.from_bytes(self._data[at + 1 : end], "little")
        self._at = end
        return -magnitude if control & 128 else magnitude

    def real(self) -> float:
        """One floating point number."""
        mantissa = self.integer()
        return float(mantissa * 2.0 ** self.integer())

    def reals(self, count: int) -> list[float]:
        """`count` floating point numbers."""
        return [self.real() for _ in range(count)]

    def integers(self, count: int) -> list[int]:
        """`count` integers."""
        return [self.integer() for _ in range(count)]

    def matrix(self) -> list[float]:
        """Elements of a matrix, row by row."""
        rows, columns = self.integer(), self.integer()
        return self.reals(rows * columns)

    def string(self, length: int) -> str:
        """`length` bytes as text."""
        return self._take(length).decode("ascii", "replace")

    def name(self) -> str:
        """A string with its length in front."""
        return self.string(self.integer())

    def flags(self) -> None:
        """Pass over consecutive bools."""
        while self._data[self._at : self._at + 1] in (b"0", b"1"):
            self._at += 1

    def tensor(self) -> Float32:
        """A tensor, as a flat float32 array."""
        if self.integer() != 2:
            raise self.error("a tensor of version 2")
        count = int(np.prod(self.integers(4)))
        return np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) != length:
            raise self.error(f"{length} more bytes")
        self._at += length
        return taken


def read_shape_predictor(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a `dlib.shape_predictor` file.

    With L cascade levels of T trees of S splits (S + 1 leaves), P points and F sampled pixels:
    `initial_shape` float32 (P, 2), in units of the box; `first`, `second` int16 (L, T, S), the pixels a
    split compares; `threshold` float32 (L, T, S); `leaves` float32 (L, T, S + 1, 2P);
    `anchors` int16 (L, F) and `deltas` float32 (L, F, 2), the point each sampled pixel hangs on and its
    offset. Raises ConfigError when the file is of another kind.
    """
    reader = DlibReader(path)
    if reader.integer() != 1:
        raise reader.error("a shape predictor of version 1")
    initial = reader.matrix()
    levels = [[_tree(reader) for _ in range(reader.integer())] for _ in range(reader.integer())]
    anchors = [reader.integers(reader.integer()) for _ in range(reader.integer())]
    deltas = [[reader.reals(2) for _ in range(reader.integer())] for _ in range(reader.integer())]
    if not reader.at_end:
        raise reader.error("the end of the file")
    splits = np.array([[tree[0] for tree in level] for level in levels], np.float64)
    return {
        "initial_shape": np.array(initial, np.float32).reshape(-1, 2),
        "first": splits[..., 0].astype(np.int16),
        "second": splits[..., 1].astype(np.int16),
        "threshold": splits[..., 2].astype(np.float32),
        "leaves": np.array([[tree[1] for tree in level] for level in levels], np.float32),
        "anchors": np.array(anchors, np.int16),
        "deltas": np.array(deltas, np.float32),
    }


def _tree(reader: DlibReader) -> tuple[list[tuple[int, int, float]], list[list[float]]]:
    splits = [(reader.integer(), reader.integer(), reader.real()) for _ in range(reader.integer())]
    return splits, [reader.matrix() for _ in range(reader.integer())]


def read_face_resnet(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of the face recognition ResNet file, each affine layer folded into its convolution.

    `mean` float32 (3,), of the RGB input. Convolution i: `weight_<i>` float32 (out, in, rows, columns),
    `bias_<i>` float32 (out,). `stride` and `padding` int64 (n,), per convolution. `is_pooled` bool (b,):
    whether residual block j (convolutions 1 + 2j and 2 + 2j) halves its shortcut by average pooling.
    `fc` float32 (inputs, outputs). Folding: affine(x) = g x + b after conv(x) = W x + c gives
    (g W) x + (g c + b), computed in float64. Raises ConfigError when the layers are not those expected.
    """
    reader = DlibReader(path)
    mean = _input_layer(reader)
    names: list[str] = []
    convolutions: list[tuple[Float64, Float64, int, int]] = []
    fc = np.zeros((0, 0), np.float32)
    while not reader.at_end:
        names.append(reader.name())
        if names[-1] == "con_4":
            convolutions.append(_convolution(reader))
        elif names[-1] == "affine_":
            weight, bias, stride, padding = convolutions[-1]
            scale, offset = np.split(reader.tensor().astype(np.float64), 2)
            reader.integers(11)
            convolutions[-1] = (weight * scale[:, None, None, None], bias * scale + offset, stride, padding)
        elif names[-1] in ("max_pool_2", "avg_pool_2"):
            reader.integers(6)
        elif names[-1] == "fc_2":
            outputs, inputs = reader.integers(2)
            fc = reader.tensor().reshape(inputs, outputs)
            reader.integers(19)
        elif names[-1] not in _ADD:
            raise reader.error("a known layer")
        reader.flags()
        if any(reader.tensor().size for _ in range(3)):
            raise reader.error("empty gradients")
        if len(names) == 1:
            reader.integer()
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "mean": mean,
        "fc": fc,
        "is_pooled": _pooled_blocks(reader, names),
        "stride": np.array([c[2] for c in convolutions]),
        "padding": np.array([c[3] for c in convolutions]),
    }
    for i, (weight, bias, _, _) in enumerate(convolutions):
        arrays[f"weight_{i}"] = weight.astype(np.float32)
        arrays[f"bias_{i}"] = bias.astype(np.float32)
    return arrays


def _input_layer(reader: DlibReader) -> Float32:
    """Read up to the first layer with parameters; the mean the input layer subtracts."""
    reader.integer()
    if reader.name() != "loss_metric_2":
        raise reader.error("layer loss_metric_2")
    reader.reals(2)
    length = reader.integer()
    while length <= _MAX_VERSION:
        length = reader.integer()
    if reader.string(length) != "input_rgb_image_sized":
        raise reader.error("layer input_rgb_image_sized")
    mean = np.array(reader.reals(3), np.float32)
    reader.integers(2)
    return mean


def _convolution(reader: DlibReader) -> tuple[Float64, Float64, int, int]:
    """Weight (out, in, rows, columns), bias (out,), stride and padding (equal in both directions)."""
    values = reader.tensor().astype(np.float64)
    _, _, _, stride, stride_x, padding, padding_x, _ = reader.integers(8)
    if stride != stride_x or padding != padding_x:
        raise reader.error("equal strides and paddings")
    shape = reader.integers(4)
    reader.integers(13)
    n_weights = int(np.prod(shape))
    return values[:n_weights].reshape(shape), values[n_weights:], stride, padding


def _pooled_blocks(reader: DlibReader, names: list[str]) -> npt.NDArray[np.bool_]:
    """Split the layer names into stem, residual blocks and head; which blocks pool their shortcut."""
    pooled: list[bool] = []
    at, end = len(_STEM), len(names) - len(_HEAD)
    while at < end:
        is_pooled = names[at + len(_BLOCK)] == "avg_pool_2"
        block = (*_BLOCK, "avg_pool_2", *_ADD) if is_pooled else (*_BLOCK, *_ADD)
        if tuple(names[at : at + len(block)]) != block:
            raise reader.error("residual blocks")
        pooled.append(is_pooled)
        at += len(block)
    if tuple(names[: len(_STEM)]) != _STEM or tuple(names[end:]) != _HEAD:
        raise reader.error("stem and head of the face recognition network")
    return np.array(pooled)
