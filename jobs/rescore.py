"""spark-submit entry point of `facelib rescore`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["rescore", *sys.argv[1:]]))
