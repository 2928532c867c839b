"""One face detector in a process of its own: `python -m benchmarks.detector_peer NAME`.

It answers one JSON line to each JSON line of its standard input. Its first line, unasked, is `{"ready": true}`, or
`{"failed": reason}`. Then a request is `{"paths": [...], "side": px}`, and its answer `{"decode": CPU seconds,
"detect": CPU seconds, "faces": [number of faces found in each]}`. Images are decoded and scaled to a square of that
side first; CPU time is of all threads of the process. It may run where facelib's packages are not: it imports those of
the detector that is asked for, NumPy and OpenCV.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Find = Callable[[Sequence[Pixels]], list[int]]
"""Numbers of faces found in RGB images (side, side, 3) of one size."""

GROUP = 16
"""Images given at once to a detector that takes several."""

MIN_FACE_PX = 40
_YUNET_REDUCTION = 0.6
"""What facelib's YuNet scales an image by for faces of 40 px: 24 / 40."""
_HAAR_CASCADE = "haarcascade_frontalface_default.xml"
_P_NET_PX = 12


def facelib_mtcnn() -> Find:
    """The default detector."""
    return _facelib({})


def facelib_yunet() -> Find:
    """YuNet on ONNX Runtime."""
    return _facelib({"detector": "yunet", "model_path": _yunet("yunet_n_dynamic.onnx")})


def plain_port() -> Find:
    """The oracle of facelib's MTCNN, which is written for clarity."""
    from oracles.plain_mtcnn import PlainMtcnn

    from facelib.faces.models import one_thread

    one_thread()
    detector = PlainMtcnn(MIN_FACE_PX)
    return lambda images: [len(detector.detect(image)[1]) for image in images]


def facenet_pytorch() -> Find:
    """MTCNN of the package, on 16 images at once."""
    import torch

    _stand_in_for_torchvision()
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    detector = MTCNN(min_face_size=MIN_FACE_PX, keep_all=True, device="cpu")
    return _in_groups(lambda images: [0 if b is None else len(b) for b in detector.detect(list(images))[0]])


def mtcnn() -> Find:
    """MTCNN of the package, on 16 images at once.

    The number of its pyramid levels does not depend on the smallest face: at 40 px the last ones are smaller than the
    window of its first network, which fails, and it reports no face at all. Those levels are left out here.
    """
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    from mtcnn import MTCNN
    from mtcnn.stages import stage_pnet

    all_scales = stage_pnet.build_scale_pyramid

    def usable_scales(width: int, height: int, **options: Any) -> npt.NDArray[np.float64]:
        scales: npt.NDArray[np.float64] = all_scales(width, height, **options)
        return scales[min(width, height) * scales >= _P_NET_PX]

    stage_pnet.build_scale_pyramid = usable_scales
    detector = MTCNN(device="CPU:0")
    return _in_groups(lambda images: [len(f) for f in detector.detect_faces(list(images), min_face_size=MIN_FACE_PX)])


def face_recognition() -> Find:
    """dlib's HOG detector, whose window is 80 px, on the doubled image: the default of the package."""
    from face_recognition import face_locations

    return lambda images: [len(face_locations(image, 1, "hog")) for image in images]


def haar_cascade() -> Find:
    """OpenCV's frontal face cascade, factor 1.1, 5 neighbours."""
    detector = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / _HAAR_CASCADE))

    def faces(image: Pixels) -> int:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return len(detector.detectMultiScale(grey, 1.1, 5, minSize=(MIN_FACE_PX, MIN_FACE_PX)))

    return lambda images: [faces(image) for image in images]


def opencv_yunet() -> Find:
    """YuNet of OpenCV on the whole image."""
    return _opencv_yunet(1.0)


def opencv_yunet_reduced() -> Find:
    """YuNet of OpenCV on the image reduced as facelib reduces it."""
    return _opencv_yunet(_YUNET_REDUCTION)


LOADERS: dict[str, Callable[[], Find]] = {
    f.__name__: f
    for f in (
        facelib_mtcnn,
        facelib_yunet,
        plain_port,
        facenet_pytorch,
        mtcnn,
        face_recognition,
        haar_cascade,
        opencv_yunet,
        opencv_yunet_reduced,
    )
}


def _facelib(settings: dict[str, Any]) -> Find:
    from facelib.faces.detector import DetectSettings
    from facelib.faces.detectors import load_detector
    from facelib.faces.models import one_thread

    one_thread()
    detector = load_detector(DetectSettings(min_face_px=MIN_FACE_PX, **settings))
    return _in_groups(lambda images: [len(found) for found in detector.detect_many(images)])


def _opencv_yunet(scale: float) -> Find:
    detector = cv2.FaceDetectorYN.create(_yunet("yunet_n_640_640.onnx"), "", (640, 640), 0.7)

    def faces(image: Pixels) -> int:
        side = round(image.shape[0] * scale)
        detector.setInputSize((side, side))
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        found = detector.detect(bgr if scale == 1 else cv2.resize(bgr, (side, side), interpolation=cv2.INTER_AREA))[1]
        return 0 if found is None else len(found)

    return lambda images: [faces(image) for image in images]


def _yunet(name: str) -> str:
    path = Path(os.environ.get("FACELIB_MODELS", "")) / "yunet" / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no yunet/{name}: set FACELIB_MODELS to the folder that holds it")
    return str(path)


def _in_groups(find: Find) -> Find:
    return lambda images: [n for i in range(0, len(images), GROUP) for n in find(images[i : i + GROUP])]


def batched_nms(boxes: Any, scores: Any, groups: Any, iou: float) -> Any:
    """What `torchvision.ops.boxes.batched_nms` does, by OpenCV: rows to keep, int64 (k,), best score first.

    boxes float (n, 4): x1, y1, x2, y2; scores (n,); groups (n,): boxes of different groups do not suppress each other.
    """
    import torch

    corners = boxes.numpy().astype(np.float64)
    corners[:, 2:] -= corners[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(corners, scores.numpy(), groups.numpy().astype(np.int32), 0.0, iou)
    rows = torch.as_tensor(np.asarray(kept, np.int64).ravel())
    return rows[torch.argsort(scores[rows], descending=True, stable=True)]


def _stand_in_for_torchvision() -> None:
    """Modules with the names that facenet-pytorch imports; of their functions detection calls `batched_nms` only."""
    for name in ("", ".transforms", ".transforms.functional", ".ops", ".ops.boxes"):
        sys.modules[f"torchvision{name}"] = types.ModuleType(f"torchvision{name}")
    sys.modules["torchvision.transforms"].functional = None  # type: ignore[attr-defined]
    sys.modules["torchvision.ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]


def serve(load: Callable[[], Find], requests: TextIO, answers: TextIO) -> None:
    """Load the detector, then answer until the requests end."""

    def answer(fields: dict[str, Any]) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    try:
        find = load()
    except Exception as error:
        answer({"failed": f"{type(error).__name__}: {error}".splitlines()[0]})
        return
    answer({"ready": True})
    for line in requests:
        request = json.loads(line)
        begun = time.process_time()
        images = [_image(path, request["side"]) for path in request["paths"]]
        decoded = time.process_time()
        faces = find(images)
        answer({"decode": decoded - begun, "detect": time.process_time() - decoded, "faces": faces})


def _image(path: str, side: int) -> Pixels:
    image = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if image.shape[:2] != (side, side):
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image, np.uint8)


if __name__ == "__main__":
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as stdout:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print
        cv2.setNumThreads(1)
        serve(LOADERS[sys.argv[1]], sys.stdin, stdout)
