"""spark-submit entry point of `facelib export`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
