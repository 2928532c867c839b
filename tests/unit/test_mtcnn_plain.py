"""The plain cascade, by which the detector is judged on photographs, against records of the original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import mtcnn_pictures
from oracles.plain_mtcnn import PlainMtcnn

pytestmark = pytest.mark.unit

RECORDS = json.loads((Path(__file__).parent.parent / "oracles" / "mtcnn_reference.json").read_text())["records"]
PICTURES = mtcnn_pictures.pictures()


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['picture']}-{r['min_face_px']}")
def test_equals_the_original(record: dict[str, Any]) -> None:
    detector = PlainMtcnn(record["min_face_px"], record["scale_factor"], tuple(record["thresholds"]))
    boxes, scores, points = detector.detect(PICTURES[record["picture"]])
    assert len(boxes) == len(record["scores"])
    np.testing.assert_allclose(boxes, np.reshape(record["boxes"], (-1, 4)), rtol=0, atol=0.01)
    np.testing.assert_allclose(scores, record["scores"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(points, np.reshape(record["points"], (-1, 5, 2)), rtol=0, atol=0.01)
