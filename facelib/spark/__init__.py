"""Spark wiring: the only room that imports pyspark and great_expectations."""
