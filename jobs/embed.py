"""spark-submit entry point of `facelib embed`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["embed", *sys.argv[1:]]))
