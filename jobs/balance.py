"""spark-submit entry point of `facelib balance`; same arguments."""

import sys

from facelib.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["balance", *sys.argv[1:]]))
