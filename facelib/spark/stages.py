"""The stages of a run, by name."""

from facelib.spark.balance_stage import balance_stage as balance
from facelib.spark.balance_stage import label_stage as label
from facelib.spark.check_stage import check_stage as check
from facelib.spark.cluster_stage import cluster_stage as cluster
from facelib.spark.embed_stage import embed_stage as embed
from facelib.spark.extract_stage import extract_stage as extract

__all__ = ["balance", "check", "cluster", "embed", "extract", "label"]
