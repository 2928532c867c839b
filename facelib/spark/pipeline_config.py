"""The whole configuration: one section per stage, each section the settings object its code takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facelib.audit.settings import AuditSettings
from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.settings import ClusterSettings
from facelib.config import load_config
from facelib.faces.detector import DetectSettings
from facelib.faces.quality import QualitySettings
from facelib.images.decode import DecodeSettings
from facelib.images.shards import ShardSettings
from facelib.spark.session import SparkSettings
from facelib.storage.base import StorageSettings
from facelib.training.export import ExportSettings


@dataclass(frozen=True)
class EmbedSettings:
    """`model` is a name of the model registry (`facelib.embeddings.model`); `mirror` averages the
    embeddings of the chip and its mirror image, at twice the cost."""

    model: str = "dlib_resnet_v1"
    mirror: bool = True


@dataclass(frozen=True)
class PipelineConfig:
    """All sections, as `section.key` on the command line and `[section]` in the file."""

    storage: StorageSettings = field(default_factory=StorageSettings)
    extract: ShardSettings = field(default_factory=ShardSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    duplicates: DuplicateSettings = field(default_factory=DuplicateSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    spark: SparkSettings = field(default_factory=SparkSettings)


def resolve_config(
    file: str | None, assignments: Sequence[str], earlier: Mapping[str, Any] | None = None
) -> PipelineConfig:
    """Defaults, the configuration of an `earlier` run, file, assignments and the driver's endpoint.

    Of the earlier run, what concerns its machines is left out. ConfigError with one line per problem.
    """
    base = {section: keys for section, keys in (earlier or {}).items() if section not in ("spark", "storage")}
    return with_endpoint(load_config(PipelineConfig, Path(file) if file else None, assignments, base))


def with_endpoint(config: PipelineConfig) -> PipelineConfig:
    """The configuration with the driver's AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL written down, so that
    executors, whose environment may differ, use the same service."""
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if config.storage.endpoint_url or not found:
        return config
    return replace(config, storage=replace(config.storage, endpoint_url=found))
