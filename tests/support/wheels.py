"""Wheels made here, so that environments are resolved and built without a network."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str, *, requires: Sequence[str] = (), body: str = "") -> Path:
    """Write a pure Python wheel of one module, and return its path.

    The format is https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    files = {
        f"{name}/__init__.py": body or f"version = {version!r}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            # One date for all: the same wheel has the same hash whenever it is made.
            archive.writestr(zipfile.ZipInfo(file, date_time=(2020, 1, 1, 0, 0, 0)), text)
    return path


@contextmanager
def serve_wheels(folder: Path) -> Iterator[str]:
    """Serve a folder of wheels as a package index over loopback, and yield its address.

    The protocol is https://packaging.python.org/en/latest/specifications/simple-repository-api/.
    """

    class Index(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            if name.endswith(".whl"):
                self._answer((folder / name).read_bytes(), kind="application/octet-stream")
                return
            wheels = [path for path in folder.iterdir() if path.name.startswith(f"{name.replace('-', '_')}-")]
            links = (f"<a href='/files/{one.name}#sha256={_sha256(one)}'>{one.name}</a>" for one in wheels)
            self._answer("".join(links).encode(), kind="text/html", status=200 if wheels else 404)

        def _answer(self, body: bytes, *, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it is called by
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
