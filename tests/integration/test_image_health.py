"""The health check of the image, as a container's engine runs it: a program that ends with 0 or 1."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.endpoint_host import free_port

PROGRAM = Path(__file__).parents[2] / "infra" / "image" / "healthy.py"


class Part(HTTPServer):
    """Answers everything with one status, and keeps the Host that it was asked by."""

    status = 200
    host = ""


class _Answer(BaseHTTPRequestHandler):
    server: Part

    def do_GET(self) -> None:
        self.server.host = self.headers["host"]
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def part() -> Iterator[Part]:
    with Part(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def check(port: int, path: str, **variables: str) -> int:
    command = (sys.executable, "-I", PROGRAM, str(port), path)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return done.returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (401, 0), (421, 1), (404, 1), (503, 1)])
def test_a_part_is_well_when_it_answers_as_one_that_works(part: Part, status: int, code: int) -> None:
    part.status = status
    assert check(part.server_port, "/metrics") == code


def test_a_part_that_nobody_hears_of_is_not_well() -> None:
    assert check(free_port(), "/metrics") == 1


def test_the_web_process_is_asked_by_the_name_that_people_know_it_by_and_others_by_their_own(part: Part) -> None:
    known = {"LAUNCHPIN_BASE_URL": "https://launchpin.example.com"}
    assert check(part.server_port, "/readyz", **known) == 0
    assert part.host == "launchpin.example.com"
    assert check(part.server_port, "/metrics", **known) == 0
    assert part.host == f"127.0.0.1:{part.server_port}"
