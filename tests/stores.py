"""An S3 server on loopback, moto's, that can be made to fail: for tests of runs in object storage."""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apc.runs.copies import copied
from apc.runs.store import Store, StoreFault

BUCKET = "bucket"
URL = f"s3://{BUCKET}/runs"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
NO_CONDITIONS = b"<Error><Code>NotImplemented</Code><Message>no conditional writes</Message></Error>"

Fault = Callable[[str, str], str]
"""Of a method and a path, what goes wrong: a status with its body's name, `cut`, `silent`, or nothing where it is
empty."""
BODIES = {"400": EXPIRED, "403": DENIED, "500": b"<Error><Code>InternalError</Code></Error>", "501": NO_CONDITIONS}


class S3:
    """The server; `fault` and `delay`, in seconds a request, may be set at any time."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self.app = DomainDispatcherApplication(create_backend_app)
        self.fault: Fault = lambda method, path: ""
        self.delay = 0.0
        self.ignores_conditions = False
        self.requests: list[tuple[str, str]] = []
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *told: Any) -> None:
                pass

        self.server = make_server("127.0.0.1", self.port, self.answer, threaded=True, request_handler=Quiet)
        self.server.daemon_threads = True
        self.port = self.server.port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        time.sleep(self.delay)
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        fault = self.fault(method, path)
        if fault in ("cut", "silent"):
            time.sleep(3 if fault == "silent" else 0)
            start("500 fault", [])
            environ["werkzeug.socket"].shutdown(2)
            return []
        if fault:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{fault} fault", [("Content-Type", "application/xml")])
            return [BODIES[fault]]
        answer: Iterable[bytes] = self.app(environ, start)
        return answer

    def clear(self) -> None:
        """An empty bucket, and no faults."""
        from moto.s3.models import s3_backends

        self.fault, self.delay, self.ignores_conditions = (lambda method, path: ""), 0.0, False
        self.requests.clear()
        backend = s3_backends["123456789012"]["aws"]
        if BUCKET in backend.buckets:
            backend.buckets[BUCKET].keys.clear()
        else:
            backend.create_bucket(BUCKET, "us-east-1")

    def keys(self) -> list[str]:
        from moto.s3.models import s3_backends

        return sorted(s3_backends["123456789012"]["aws"].buckets[BUCKET].keys.keys())


def environment(server: S3) -> dict[str, str]:
    """What a process needs to find the server."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }


def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str) -> Path:
    """The copy of the runs on another machine: all that two share is the store."""
    monkeypatch.setenv("APC_CACHE", str(tmp_path / machine))
    return copied(URL)


@functools.cache
def _server() -> S3:
    return S3()


@contextmanager
def serving() -> Iterator[S3]:
    """One server for all tests of a process: clients are kept by their address, and know the port that it had."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    yield _server()


def once(*faults: str, at: str = "", method: str = "") -> Fault:
    """These faults one after another, at paths that end with `at`; then none."""
    left = list(faults)

    def fault(of: str, path: str) -> str:
        return left.pop(0) if left and path.endswith(at) and method in ("", of) else ""

    return fault


class Unheard(Store):
    """A store that does what it is asked to, and whose answer is lost while it is `away`."""

    away = False

    def replace(self, name: str, content: bytes, tag: dict[str, Any]) -> dict[str, Any] | None:
        stored = super().replace(name, content, tag)
        if self.away:
            raise StoreFault(self.url, "it does not answer")
        return stored
