"""spark-submit entry point of `facelib run`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
