"""From a labels file to rows of the `labels` table."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import pyarrow as pa

from facelib.errors import ConfigError
from facelib.reports.label_file import LabelColumns

SUBJECT = "subject"
LABEL_ROWS_SCHEMA = pa.schema([(name, pa.string()) for name in ("image_id", "attribute", "value", "source")])


def image_of_key(image_ids: Sequence[str], keys: Sequence[str], uris: Sequence[str]) -> dict[str, str]:
    """image_id by key below `--images` and by full uri."""
    found = dict(zip(uris, image_ids, strict=True))
    found.update(zip(keys, image_ids, strict=True))
    return found


def label_rows(
    labels: pa.Table,
    columns: LabelColumns,
    images: Mapping[str, str],
    secret: bytes,
    file: str,
) -> tuple[pa.Table, int]:
    """(rows under LABEL_ROWS_SCHEMA, number of label rows whose image was not listed).

    `labels` is what `read_label_file` returns for `columns`; `images` maps keys to image_ids. Each matched
    row gives one row per attribute, null where the cell is empty; the subject becomes the attribute
    `subject`, whose value is a keyed pseudonym. Raises ConfigError when no row matches an
    image, or two rows name the same one.
    """
    image_ids = [images.get(k) for k in labels.column("key").to_pylist()]
    unmatched = sum(i is None for i in image_ids)
    if labels.num_rows and unmatched == labels.num_rows:
        raise ConfigError(
            f"labels file {file}: none of the {labels.num_rows} values of column {columns.key} is the path of a listed "
            f"object below --images, or its full URI: correct --label-key or --images"
        )
    matched = [i for i in image_ids if i is not None]
    if len(set(matched)) < len(matched):
        raise ConfigError(
            f"labels file {file}: {len(matched) - len(set(matched))} images have two rows, one by path and one by URI: "
            "keep one of each"
        )
    values_of: dict[str, list[str | None]] = {a: labels.column(a).to_pylist() for a in columns.attributes}
    if columns.subject:
        values_of[SUBJECT] = [pseudonym(s, secret) if s else None for s in labels.column("subject").to_pylist()]
    rows: list[tuple[str, str, str | None]] = [
        (image, name, value)
        for name, values in values_of.items()
        for image, value in zip(image_ids, values, strict=True)
        if image is not None
    ]
    data = [[r[i] for r in rows] for i in range(3)]
    return pa.table([*data, ["declared"] * len(rows)], schema=LABEL_ROWS_SCHEMA), unmatched


def pseudonym(subject: str, secret: bytes) -> str:
    """Keyed pseudonym of a person's name: stable for one output, not to be guessed without its secret."""
    return "s" + hmac.new(secret, subject.encode(), hashlib.sha256).hexdigest()[:24]
