"""spark-submit entry point of `facelib cluster`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["cluster", *sys.argv[1:]]))
