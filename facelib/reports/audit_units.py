"""The units of the audit, counted from the tables of a run.

A label describes an image's main face (index 0); other faces have none. The identity of an image is its verified
subject, else the cluster of its main face, else the image itself; that of a face the subject of its image if it is the
main one, else its cluster, else itself. Clusters and subjects take the value that most of their labelled main faces or
images have; a tie is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.joint_counts import JointCounts
from facelib.audit.loss_counts import LossCounts, count_losses
from facelib.audit.unit_counts import Names, UnitCounts, count_units
from facelib.reports.declared import category_codes
from facelib.reports.labels import SUBJECT
from facelib.reports.losses import STAGES, stages_passed
from facelib.reports.units import is_main_face
from facelib.reports.units_counted import Categories

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AuditUnits:
    """units: by name. losses: the listed images by stage. agreement: by attribute, the share of labelled main faces
    that have the value of their cluster, of clusters with two or more."""

    units: Mapping[str, UnitCounts]
    losses: LossCounts
    agreement: Mapping[str, float] = field(default_factory=dict)


def audit_units(
    images: pa.Table,
    faces: pa.Table,
    clusters: pa.Table,
    labels: pa.Table,
    categories: Categories,
    sets: Sequence[Names],
) -> AuditUnits:
    """Count the rows of the tables of these names.

    images: image_id, status, reason, n_faces. faces: image_id, is_usable. clusters: face_id, image_id, cluster_id,
    role. labels: image_id, attribute, value. sets: the attribute sets to keep moments of.
    """
    ids = images.column("image_id").combine_chunks()
    codes = _image_codes(ids, labels, categories)
    subject = _subjects(ids, labels)
    image_of = pc.index_in(clusters.column("image_id"), value_set=ids).to_numpy()
    is_main = is_main_face(clusters).to_numpy(zero_copy_only=False)
    named = pc.dictionary_encode(clusters.column("cluster_id")).combine_chunks()
    cluster = named.indices.fill_null(-1).to_numpy().astype(np.int64)
    n_subjects = int(subject.max(initial=-1)) + 1

    missing = np.array([len(c) for c in categories.values()], np.int64)
    face_codes = np.where(is_main[:, None], codes[image_of], missing)
    main_cluster = np.full(len(ids), -1, np.int64)
    main_cluster[image_of[is_main]] = cluster[is_main]
    face_subject = np.where(is_main, subject[image_of], -1)
    of_image = _identities(subject, main_cluster, n_subjects)
    of_face = _identities(face_subject, cluster, n_subjects)

    outcomes = images
    for name, rows in (
        ("n_usable", faces.filter(faces.column("is_usable"))),
        ("n_clustered", clusters.filter(pc.not_equal(clusters.column("role"), "noise"))),
    ):
        outcomes = outcomes.append_column(name, _rows_per_image(ids, rows))
    lost = count_losses(categories, codes, stages_passed(outcomes), of_image, len(STAGES), sets)
    votes = count_votes(cluster, face_codes, categories)
    units = {
        "image": count_units(categories, codes, of_image, sets),
        "face": count_units(categories, face_codes, of_face, sets),
        "cluster": UnitCounts(votes.joint, {}),
    }
    if n_subjects:
        units["subject"] = UnitCounts(count_votes(subject, codes, categories).joint, {})
    return AuditUnits(units if categories else {}, lost, votes.agreement)


def _image_codes(ids: pa.Array, labels: pa.Table, categories: Categories) -> Int64:
    """Positions of the values of every image, (images, attributes)."""
    codes = np.empty((len(ids), len(categories)), np.int64)
    for i, (attribute, declared) in enumerate(categories.items()):
        rows = labels.filter(pc.equal(labels.column("attribute"), attribute))
        codes[:, i] = len(declared)
        at = pc.index_in(rows.column("image_id"), value_set=ids).to_numpy()
        codes[at, i] = category_codes(rows.column("value"), declared)
    return codes


def _subjects(ids: pa.Array, labels: pa.Table) -> Int64:
    """Number of the subject of every image, −1 without one."""
    rows = labels.filter(pc.and_(pc.equal(labels.column("attribute"), SUBJECT), pc.is_valid(labels.column("value"))))
    found = np.full(len(ids), -1, np.int64)
    at = pc.index_in(rows.column("image_id"), value_set=ids).to_numpy()
    found[at] = pc.dictionary_encode(rows.column("value")).combine_chunks().indices.to_numpy()
    return found


def _identities(subject: Int64, cluster: Int64, subjects: int) -> Int64:
    """Numbers of the identities: subjects, then clusters, then units by themselves."""
    own = subjects + int(cluster.max(initial=-1)) + 1 + np.arange(len(subject))
    return np.where(subject >= 0, subject, np.where(cluster >= 0, subjects + cluster, own))


def _rows_per_image(ids: pa.Array, rows: pa.Table) -> pa.Array:
    counts = pc.value_counts(rows.column("image_id"))
    at = pc.index_in(ids, value_set=counts.field("values"))
    return counts.field("counts").take(at)


@dataclass(frozen=True)
class Votes:
    """Units that have the most frequent values of others: clusters, subjects.

    agreed, labelled: int64 (attributes,), of the others with a value in groups with two such or more, those with the
    value of their group, and all.
    """

    joint: JointCounts
    agreed: Int64
    labelled: Int64

    def __add__(self, other: Votes) -> Votes:
        """Of two parts that share no group."""
        joint = self.joint.merged(other.joint)
        return Votes(joint, self.agreed + other.agreed, self.labelled + other.labelled)

    @property
    def agreement(self) -> dict[str, float]:
        """By attribute, agreed / labelled."""
        found = zip(self.joint.categories, self.agreed.tolist(), self.labelled.tolist(), strict=True)
        return {a: agreed / labelled for a, agreed, labelled in found if labelled}


def count_votes(of: Int64, codes: Int64, categories: Categories) -> Votes:
    """The groups of rows, int64 (rows,), −1 for none, by the values of most of their rows, codes (rows, attributes)."""
    rows = of >= 0
    columns = [majority(of[rows], codes[rows, i], len(declared)) for i, declared in enumerate(categories.values())]
    groups = np.unique(of[rows]).size
    voted = np.stack([c[0] for c in columns], axis=1) if columns else np.zeros((groups, 0), np.int64)
    agreed, labelled = (np.array([c[i] for c in columns], np.int64) for i in (1, 2))
    return Votes(JointCounts.counted(categories, voted), agreed, labelled)


def majority(of: Int64, codes: Int64, size: int) -> tuple[Int64, int, int]:
    """The most frequent code 0 … `size` − 1 of every group, int64 (groups,), in order of their numbers.

    `size` without any and where two tie. Then, of the rows with a code in groups with two such or more, how many have
    that of their group, and how many there are.
    """
    _, group = np.unique(of, return_inverse=True)
    groups, width = int(group.max(initial=-1)) + 1, max(1, size)
    is_known = codes < size
    votes = np.bincount(group[is_known] * width + codes[is_known], minlength=groups * width).reshape(groups, width)
    most = votes.max(axis=1)
    is_won = (most > 0) & ((votes == most[:, None]).sum(axis=1) == 1)
    several = votes.sum(axis=1) >= 2
    voted = np.where(is_won, votes.argmax(axis=1), size)
    return voted, int((most * is_won)[several].sum()), int(votes[several].sum())
