"""`python -m benchmarks NAME…`, with `tests` on the path."""

import sys

from benchmarks.harness import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
