"""One linear classifier per enrolled subject, as an alternative to templates.

Crosswhite et al., "Template adaptation for face verification and identification", 2017: a linear support vector machine
of each subject's embeddings against those of all others, both sides weighted to count alike, C = 10.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facelib.clusters.gallery import Gallery, search, templates
from facelib.clusters.space import FloatArray
from facelib.errors import ConfigError, DegenerateResultError

_COST = 10.0
_FOLDS = 5


def fit_heads(unit: FloatArray, subjects: Sequence[str]) -> Gallery:
    """A gallery whose score is the decision value of each subject's machine: above 0 it is taken for the subject.

    `unit` (n, d) float32 unit rows; `subjects` (n,). The time grows with subjects × rows. Raises ConfigError when
    scikit-learn is missing, DegenerateResultError with fewer than two subjects.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise ConfigError('--method svm needs scikit-learn: pip install "facelib[svm]"') from None
    names = sorted(set(subjects))
    if len(names) < 2:
        raise DegenerateResultError("--method svm tells subjects apart, and the gallery has one: enrol more")
    owner = np.array(subjects, dtype=np.str_)
    vectors = np.empty((len(names), unit.shape[1]), np.float32)
    offsets = np.empty(len(names), np.float32)
    for i, name in enumerate(names):
        machine = LinearSVC(C=_COST, class_weight="balanced", random_state=0, max_iter=10_000)
        machine.fit(unit, owner == name)
        vectors[i], offsets[i] = machine.coef_[0], machine.intercept_[0]
    return Gallery(tuple(names), vectors, offsets)


def held_out_scores(unit: FloatArray, weights: npt.ArrayLike, subjects: Sequence[str]) -> FloatArray:
    """Best decision value of each subject's template for machines that have not seen the subject, (subjects,).

    Subjects are left out in five groups, so that five fits are enough. For `threshold_at_fpir`. DegenerateResultError
    with fewer than three subjects.
    """
    probes = templates(unit, weights, subjects)
    count = len(probes.subjects)
    if count < 3:
        raise DegenerateResultError(f"the gallery has {count} subjects, too few to leave one out: enrol more")
    number = {name: i for i, name in enumerate(probes.subjects)}
    fold = np.array([number[s] for s in subjects]) % min(_FOLDS, count)
    scores = np.empty(count, np.float32)
    for left_out in range(min(_FOLDS, count)):
        rows = np.flatnonzero(fold != left_out)
        heads = fit_heads(unit[rows], [subjects[i] for i in rows])
        mine = np.arange(left_out, count, min(_FOLDS, count))
        scores[mine] = search(probes.vectors[mine], heads, 1)[1][:, 0]
    return scores
