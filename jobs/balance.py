"""spark-submit entry point of `facelib balance`; same arguments."""

import sys

from _interpreter import use_installed_facelib

use_installed_facelib()

from facelib.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["balance", *sys.argv[1:]]))
