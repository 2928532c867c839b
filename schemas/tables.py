"""The declarations. Add columns freely (with a version step); never rename silently."""

from __future__ import annotations

from facelib.reasons import FaceReason, ImageReason
from schemas.audit_tables import ASSOCIATIONS, BALANCE, BALANCE_SUMMARY, LOSSES
from schemas.columns import FACE_ID, IMAGE_ID, light_table
from schemas.contract import Column, Table, Type
from schemas.error_tables import ERROR_RATES, ERROR_SUMMARY
from schemas.label_tables import LABEL_MISSINGNESS, LABEL_PLAN, PREDICTED_SHARES
from schemas.plan_tables import SAMPLING_PLAN, SAMPLING_PLAN_SUMMARY

_S, _I, _F, _D, _B, _T = Type.STRING, Type.INT64, Type.FLOAT32, Type.FLOAT64, Type.BOOL, Type.TIMESTAMP

IMAGE_MEASURES = (
    Column("content_sha256", _S, "SHA-256 of the bytes; null when they were not read", nullable=True),
    Column("format", _S, "what the bytes are, whatever the name says; null when unknown", nullable=True),
    Column("width_px", _I, "upright width; null when no header could be read", "px", True, minimum=1),
    Column("height_px", _I, "upright height; null when no header could be read", "px", True, minimum=1),
    Column("n_frames", _I, "frames in the file; the first is used", nullable=True, minimum=1),
    Column("exif_orientation", _I, "EXIF orientation tag; null when absent", nullable=True, minimum=1, maximum=8),
    Column("camera", _S, "make and model of the camera as EXIF has them; null when absent", nullable=True),
    Column(
        "jpeg_quality", _I, "JPEG quality (libjpeg scale) estimated from the tables; null if not JPEG", "", True, 1, 100
    ),
    Column(
        "decode_scale", _F, "size of the pixels looked at, over the full size; null when not decoded", "", True, 0, 1
    ),
    Column("phash", _I, "64-bit perceptual hash (DCT) as signed integer; null when not decoded", nullable=True),
    Column("phash_mirror", _I, "phash of the mirror image; null when not decoded", nullable=True),
    Column("dhash", _I, "64-bit gradient hash as signed integer; null when not decoded", nullable=True),
    Column("dhash_mirror", _I, "dhash of the mirror image; null when not decoded", nullable=True),
    Column("brightness", _F, "mean luma", "0–1", True, 0, 1),
    Column("contrast", _F, "standard deviation of luma", "0–0.5", True, 0, 0.5),
    Column("sharpness", _F, "variance of the Laplacian of luma, images above 256 px reduced to that", "", True, 0),
    Column("entropy_bits", _F, "Shannon entropy of the luma histogram", "bit", True, 0, 8),
    Column("colourfulness", _F, "Hasler and Süsstrunk's M3; 0 for grey, about 100 for vivid pictures", "", True, 0),
    Column("aspect", _F, "upright width over height; null when no header could be read", "", True, 0),
)
OUTCOME = (
    Column("n_faces", _I, "detected faces; null when the image was not decoded", nullable=True, minimum=0),
    Column("status", _S, "what became of the image", values=("ok", "rejected")),
    Column("reason", _S, "why it was rejected; null when ok", nullable=True, values=tuple(ImageReason)),
    Column(
        "detail",
        _S,
        "the error class or signal behind the reason, or in a few words what is amiss; null when there is none",
        nullable=True,
    ),
)
FACE_MEASURES = (
    Column("box_x_px", _F, "left edge of the box; may lie outside the image", "px"),
    Column("box_y_px", _F, "top edge of the box", "px"),
    Column("box_width_px", _F, "width of the box", "px", minimum=0),
    Column("box_height_px", _F, "height of the box", "px", minimum=0),
    Column("detection_score", _F, "the detector's confidence", "0–1", minimum=0, maximum=1),
    Column(
        "landmarks_px",
        Type.LIST_FLOAT32,
        "x, y of: outer and inner corner of the eye on the right of the "
        "picture, outer and inner corner of the eye on the left, base of the nose",
        "px",
    ),
    Column("eye_distance_px", _F, "distance between the two eye centres", "px", minimum=0),
    Column(
        "yaw_deg",
        _F,
        "turn of the head, positive to the right of the picture; a coarse estimate from five points",
        "deg",
        True,
        -90,
        90,
    ),
    Column(
        "pitch_deg", _F, "nod of the head, positive downwards; a coarse estimate from five points", "deg", True, -90, 90
    ),
    Column("roll_deg", _F, "in-plane rotation of the eye line, positive clockwise", "deg", minimum=-180, maximum=180),
    Column("brightness", _F, "mean luma of the chip", "0–1", minimum=0, maximum=1),
    Column("contrast", _F, "standard deviation of luma of the chip", "0–0.5", minimum=0, maximum=0.5),
    Column("sharpness", _F, "variance of the Laplacian of the chip's luma", minimum=0),
    Column("clipped_share", _F, "share of the face's pixels that are black or burnt out", "0–1", False, 0, 1),
    Column(
        "lighting_difference",
        _F,
        "(right − left) / (right + left) of the mean luma of the two halves of the face; 0 when lit evenly",
        "",
        False,
        -1,
        1,
    ),
    Column(
        "occlusion", _F, "proxy of how much of the face is covered: 0 nothing seen, 1 most of it", "0–1", False, 0, 1
    ),
    Column(
        "ita_deg",
        _F,
        "individual typology angle of the median skin pixel (cheeks); null when too dark or overexposed to tell",
        "deg",
        True,
        -90,
        90,
    ),
    Column(
        "ita_is_reliable",
        _B,
        "whether the light allows to compare ita_deg between faces; null where ita_deg is",
        nullable=True,
    ),
    Column(
        "quality_score",
        _F,
        "product of parts for size, detail, contrast, clipping, pose and occlusion; see facelib/faces/QUALITY.md",
        "0–1",
        minimum=0,
        maximum=1,
    ),
    Column("is_usable", _B, "good enough to found a cluster"),
    Column("reason", _S, "why it is not usable; null when it is", nullable=True, values=tuple(FaceReason)),
)
_SHARE = ("0–1", True, 0, 1)

IMAGES = light_table(
    "images",
    "listed object version, always, whatever became of it",
    ("image_id",),
    IMAGE_ID,
    Column("uri", _S, "where the object is"),
    Column("etag", _S, "version tag of the object when it was listed"),
    Column("size_bytes", _I, "size when it was listed", "byte", minimum=0),
    Column("modified_at", _T, "last modification when it was listed; null when unknown", "UTC", True),
    *IMAGE_MEASURES,
    Column(
        "duplicate_of",
        _S,
        "image_id of the first image (by uri) with the same bytes; null for that first one and for unread images",
        nullable=True,
    ),
    Column(
        "near_duplicate_group",
        _S,
        "group of images with close hashes, mirror images included; null when alone",
        nullable=True,
    ),
    *OUTCOME,
    Column("shard", _S, "extracted shard file that holds the image"),
    version=3,
)
FACES = light_table("faces", "detected face", ("face_id",), FACE_ID, IMAGE_ID, *FACE_MEASURES, version=2)
LABELS = light_table(
    "labels",
    "image × attribute",
    ("image_id", "attribute", "source"),
    IMAGE_ID,
    Column("attribute", _S, "name of the attribute; `subject` holds a pseudonym of the verified person"),
    Column("value", _S, "category of the image's main face; null when the label is missing", nullable=True),
    Column("source", _S, "where the value comes from", values=("declared", "annotated", "measured", "predicted")),
)
CLUSTERS = light_table(
    "clusters",
    "face, noise too",
    ("face_id",),
    FACE_ID,
    IMAGE_ID,
    Column(
        "cluster_id",
        _S,
        "kept from the previous run (see cluster_lineage), else made from the core members; null for noise",
        nullable=True,
    ),
    Column(
        "role",
        _S,
        "core: founded the cluster; attached: joined it as an unusable face near it, as a copy of a core face, or "
        "by a pair of the user; noise: neither",
        values=("core", "attached", "noise"),
    ),
    Column(
        "similarity_to_centroid",
        _F,
        "cosine to the mean of the cluster's unit embeddings; null for noise",
        "cosine",
        True,
        -1.001,
        1.001,
    ),
    Column(
        "cluster_size",
        _I,
        "faces in the cluster, core and attached (1 = singleton); null for noise",
        nullable=True,
        minimum=1,
    ),
    Column(
        "weight",
        _F,
        "how crowded the surroundings of a core face are: similarity = 1 - (1 - cosine) × the weights of both; "
        "1 in typical surroundings; null for other faces",
        "",
        True,
        0.5,
        2,
    ),
    Column("is_cohort", _B, "whether the face is one of those against which surroundings were measured"),
    version=2,
)
CLUSTER_LINEAGE = light_table(
    "cluster_lineage",
    "pair of clusters of this and the previous run that share faces, cluster born, or cluster retired; "
    "none without a previous run",
    ("cluster_id", "previous_cluster_id"),
    Column("cluster_id", _S, "cluster of this run; null when retired", nullable=True),
    Column("previous_cluster_id", _S, "cluster of the previous run; null when born", nullable=True),
    Column(
        "event",
        _S,
        "with the id inherited, kept: the same faces; grown: gained faces, no fewer than it lost; shrunk: lost more "
        "than it gained. With another id, merged: the larger part of the previous cluster's faces that still are in a "
        "cluster joined this one; split: half or a smaller part did. born: the cluster inherited no id (split rows say "
        "which faces it took over); retired: nobody inherited the id (merged and split rows say where faces went)",
        values=("born", "kept", "grown", "shrunk", "merged", "split", "retired"),
    ),
    Column(
        "n_shared",
        _I,
        "faces in both; 0 when born or retired. The sum over a cluster_id lacks n_current by the faces that were in no "
        "cluster before, the sum over a previous_cluster_id lacks n_previous by those that are in none now",
        minimum=0,
    ),
    Column("n_previous", _I, "faces of the previous cluster in the previous run; null when born", "", True, 1),
    Column("n_current", _I, "faces of the cluster in this run; null when retired", "", True, 1),
)
EDGES = light_table(
    "edges",
    "accepted pair",
    ("face_a", "face_b"),
    Column("face_a", _S, "the smaller face_id"),
    Column("face_b", _S, "the larger face_id"),
    Column(
        "similarity",
        _F,
        "similarity of the two faces, corrected for their surroundings (see clusters.weight); 1 = the same",
        "",
        False,
        -7.001,
        1.001,
    ),
    version=2,
)
THRESHOLD_CURVE = light_table(
    "threshold_curve",
    "similarity around the floor, for the whole archive and for each labelled group",
    ("attributes", "groups", "similarity"),
    Column(
        "attributes",
        Type.LIST_STRING,
        "empty: the whole archive; else one attribute, or a pair with at most 64 cells. Groups are there when labels "
        "were joined before faces were clustered",
    ),
    Column("groups", Type.LIST_STRING, "the category of each attribute"),
    Column("similarity", _D, "threshold: faces more similar are accepted", maximum=1.001),
    Column("is_floor", _B, "whether it is the floor at which edges were accepted"),
    Column(
        "n_faces",
        _I,
        "core faces of the archive, or of the group (main faces of labelled images); null when it, or another group of "
        "its attributes, is suppressed",
        "",
        True,
        0,
    ),
    Column("is_suppressed", _B, "0 < n_faces < audit.min_cell, so the figures are withheld"),
    Column(
        "estimator",
        _S,
        "how fmr_estimated was made. tail: from the tail of the pairs between clusters; counted: as the share of these "
        "pairs; subjects: from the tail of the pairs of verified subjects; null like fmr_estimated",
        nullable=True,
        values=("tail", "counted", "subjects"),
    ),
    Column(
        "fmr_estimated",
        _D,
        "estimated share of pairs of two people, of a group both in it, that are accepted; null when the floor was not "
        "estimated, and for a group that is suppressed or has too few pairs near the similarity to tell",
        *_SHARE,
    ),
    Column(
        "fmr_ci_low",
        _D,
        "lower end of the 95 % interval of fmr_estimated (bootstrap of clusters: errors of the tail's law and of the "
        "clusters are not in it); null like it, and for the whole archive",
        *_SHARE,
    ),
    Column("fmr_ci_high", _D, "upper end", *_SHARE),
    Column("false_edges_per_face", _D, "fmr_estimated times n_faces; null like both", "", True, 0),
    Column(
        "n_same_photograph",
        _I,
        "pairs of faces on one photograph, which are two people; 0 for groups, as are n_copies",
        minimum=0,
    ),
    Column("same_photograph_rate", _D, "share of them that is accepted: FMR, overstated by relatives", *_SHARE),
    Column("same_photograph_ci_low", _D, "lower end of its Wilson 95 % interval", *_SHARE),
    Column("same_photograph_ci_high", _D, "upper end", *_SHARE),
    Column("n_copies", _I, "pairs of a face and its copy, and pairs that the user linked: one person", minimum=0),
    Column("copies_rate", _D, "share of them that is accepted: upper bound of the true match rate", *_SHARE),
    Column("copies_ci_low", _D, "lower end of its Wilson 95 % interval", *_SHARE),
    Column("copies_ci_high", _D, "upper end", *_SHARE),
    version=2,
)
CHECKS = light_table(
    "checks",
    "expectation",
    ("suite", "table_name", "column_name", "expectation"),
    Column("suite", _S, "name of the Great Expectations suite"),
    Column("table_name", _S, "table that was checked"),
    Column("column_name", _S, "column or columns; null for the whole table", nullable=True),
    Column("expectation", _S, "type of the expectation"),
    Column("severity", _S, "critical failures stop publication", values=("critical", "warning")),
    Column("success", _B, "whether it held"),
    Column("observed", _S, "observed value, never a cell of the table; null when there is none", nullable=True),
    Column("n_unexpected", _I, "rows that break it; null when it is not counted by row", nullable=True, minimum=0),
    Column("unexpected_rate", _D, "n_unexpected over the rows it applies to", *_SHARE),
)
EXTRACTED = Table(
    "extracted",
    3,
    "detected face, or image without one",
    ("image_id", "face_index"),
    (
        IMAGE_ID,
        *IMAGE_MEASURES,
        *OUTCOME,
        Column(
            "face_index",
            _I,
            "0 = most prominent: box area − 2 × squared distance of its centre from the image's; null without a face",
            nullable=True,
            minimum=0,
        ),
        *(
            Column(f"face_{c.name}", c.type, c.meaning, c.unit, True, c.minimum, c.maximum, c.values)
            for c in FACE_MEASURES
            if c.name not in ("quality_score", "is_usable", "reason")
        ),
        Column("chip", Type.BINARY, "JPEG of the aligned face, 150 × 150 px; null without a face", nullable=True),
    ),
    is_store=True,
)
EMBEDDINGS = Table(
    "embeddings",
    1,
    "detected face × model",
    ("face_id", "model_id"),
    (
        FACE_ID,
        Column("model_id", _S, "model and digest of its weights"),
        Column("embedding", Type.LIST_FLOAT32, "the model's vector, as it came out (not normalised)"),
        Column("norm", _F, "its Euclidean length", "", False, 0),
    ),
    is_store=True,
)
TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        IMAGES,
        FACES,
        LABELS,
        CLUSTERS,
        CLUSTER_LINEAGE,
        THRESHOLD_CURVE,
        EDGES,
        BALANCE,
        BALANCE_SUMMARY,
        LOSSES,
        ASSOCIATIONS,
        ERROR_RATES,
        ERROR_SUMMARY,
        PREDICTED_SHARES,
        LABEL_MISSINGNESS,
        LABEL_PLAN,
        SAMPLING_PLAN,
        SAMPLING_PLAN_SUMMARY,
        CHECKS,
        EXTRACTED,
        EMBEDDINGS,
    )
}
