"""What the benchmark `readers` runs in processes of their own.

`python -m benchmarks.reader_peers serve FOLDER` serves a folder over HTTP until its standard input ends; its first
line of output is the port. `python -m benchmarks.reader_peers img2dataset URLS OUT SHARD_IMAGES` reads and decodes the
images of a file of URLs with img2dataset; its one line of output is the number it read.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROCESSES = 2
_THREADS = 8


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def serve(folder: str) -> None:
    """Serve the folder on a free port of this machine until standard input ends."""
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201
    sys.stdin.read()


def img2dataset(urls: str, out: str, shard_images: str) -> None:
    """Read and decode, without resizing, encoding or writing anything."""
    from img2dataset import download

    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as stdout:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # img2dataset reports its speed
        download(
            url_list=urls,
            output_folder=out,
            output_format="dummy",
            processes_count=PROCESSES,
            thread_count=_THREADS,
            resize_mode="no",
            skip_reencode=True,
            compute_hash=None,
            number_sample_per_shard=int(shard_images),
        )
        found = [json.loads(path.read_text())["successes"] for path in Path(out).glob("*_stats.json")]
        stdout.write(f"{sum(found)}\n")


if __name__ == "__main__":
    {"serve": serve, "img2dataset": img2dataset}[sys.argv[1]](*sys.argv[2:])
