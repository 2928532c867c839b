"""One thread per process: Spark and facelib's own tasks use the cores, libraries must not."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that must be 1 before NumPy loads; products of several threads differ in their last bits."""
