"""A web server in a thread, small IDX files, and their checksums: downloads without a network."""

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from amortis.data import ImageSource


def idx(values: np.ndarray) -> bytes:
    """Bytes as a gzipped IDX file, the same every time."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0)


def small_set(images: int = 5, part: str = "train") -> dict[str, bytes]:
    """Images of 4 by 3 pixels with labels, as files by name."""
    pixels = np.random.default_rng(images).integers(0, 256, (images, 4, 3))
    return {
        f"{part}-images-idx3-ubyte.gz": idx(pixels),
        f"{part}-labels-idx1-ubyte.gz": idx(np.arange(images) % 10),
    }


def source(files: dict[str, bytes], *mirrors: str) -> ImageSource:
    """An image set that is published at these mirrors with these bytes."""
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return ImageSource("Tiny", ("tiny", "tiny_selection"), mirrors, sums)


class Answers:
    """What the server answers, and what it was asked.

    Attributes:
        files: bytes by name; other names are 404.
        broken: number of answers that break off half way.
        busy: number of answers that are 503.
        asked: names in the order they were asked for.
        url: address of the server.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.broken, self.busy = 0, 0
        self.asked: list[str] = []
        self.url = ""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Answers]:
    """Serve files on this machine."""
    answers = Answers(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            answers.asked.append(name)
            if answers.busy:
                answers.busy -= 1
                self.send_error(503)
                return
            content = answers.files.get(name)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if answers.broken:
                answers.broken -= 1
                content = content[: len(content) // 2]
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_port}/set"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
