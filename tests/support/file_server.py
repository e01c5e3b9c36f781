"""A local file server that misbehaves on demand."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from segloom.data.tools.download import Patience
from segloom.data.tools.download.fetch import fetch

BODY = np.random.default_rng(0).bytes(600_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
HASTY = Patience(attempts=3, pause_s=0.0, timeout_s=5.0)


class FileServer:
    """A server that behaves as badly as the test says, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.body, self.etag = BODY, '"one"'
        self.ranges: list[str | None] = []
        self.cut: list[int] = []
        """Per request, after how many bytes to break off; empty: never."""
        self.statuses: list[int] = []
        """Per request, the answer instead of the file."""
        self.knows_ranges = True
        self.says_length = True
        self.stalls = False
        self.redirect: str | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.released = threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            request.send_error(status)
            return
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        start = 0
        same = request.headers.get("If-Range") in (None, self.etag)
        if asked and self.knows_ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                request.send_error(416)
                return
            request.send_response(206)
            end = len(self.body) - 1
            request.send_header("Content-Range", f"bytes {start}-{end}/{len(self.body)}")
        else:
            request.send_response(200)
        if self.says_length:
            request.send_header("Content-Length", str(len(self.body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        length = self.cut.pop(0) if self.cut else len(self.body)
        try:
            request.wfile.write(self.body[start : start + length])
            request.wfile.flush()
            if self.stalls:
                self.released.wait(20)
        except ConnectionError:
            pass

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def fetch_from(server: FileServer, path: Path, **options: object) -> Path:
    arguments = {"sha256": SHA256, "max_bytes": 10**7, "patience": HASTY, **options}
    return fetch(server.url, path, **arguments)


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path
