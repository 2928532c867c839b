"""The labels file that the arguments name, checked before anything starts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from facelib.errors import ConfigError
from facelib.reports.label_file import LabelColumns
from facelib.storage import StorageSettings

if TYPE_CHECKING:
    from facelib.spark.label_stage import LabelSource


def label_source(
    arguments: argparse.Namespace, attributes: tuple[str, ...], storage: StorageSettings, *, needs_subject: bool = False
) -> LabelSource | None:
    """Labels of `--labels`, `--label-key` and `--subject`, with these attributes; null without `--labels`.

    ConfigError where an option is missing or has nothing to belong to, and for a wrong file.
    """
    from facelib.spark.label_stage import LabelSource

    if not arguments.labels:
        for name, value in (("--label-key", arguments.label_key), ("--subject", arguments.subject)):
            if value:
                raise ConfigError(f"{name} needs a labels file: add --labels FILE")
        return None
    if not arguments.label_key:
        raise ConfigError("--labels needs --label-key: name the column with the path of each image")
    if needs_subject and not arguments.subject:
        raise ConfigError("--labels needs --subject: name the column with the verified person")
    if not (arguments.subject or attributes):
        raise ConfigError("--labels needs --attributes or --subject: name the columns to use")
    return LabelSource.read(arguments.labels, LabelColumns(arguments.label_key, arguments.subject, attributes), storage)
