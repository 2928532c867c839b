"""Table contracts: one declaration per table, everything else derives from it.

`schemas.tables.TABLES` holds the declarations; `schemas.arrow` makes the Arrow schema,
`facelib.spark.types` the Spark type, `schemas.dictionary` the data dictionary, and
`schemas.expectations` the null, range and set expectations of the gate.
"""

from schemas.contract import Column, Table
from schemas.tables import TABLES

__all__ = ["TABLES", "Column", "Table"]
