"""Object stores by their objects: whole ones, written on condition where that matters, asked again where they fail.

The client is obstore: it has conditional writes, retries and time-outs for all these stores alike, in one package
without dependencies. It is imported where a store is asked for something, and nowhere else.
"""

import errno
import functools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from apc.files import whole

KINDS = {"s3": "S3", "gs": "Google Cloud Storage"}
"""Schemes of the stores there are; memory:// is for tests, and file:// is a folder."""
PATIENCE = 120.0  # seconds for which a store that fails is asked again while a run trains
IMPATIENCE = 30.0  # and where somebody waits: longer than a store that starts again takes
TOGETHER = 16  # objects that are stored or brought at once
SILENCE = 60.0  # seconds without a byte after which a request is given up and made again


class StoreFault(OSError):
    """A store does not do what it was asked to; the sentence says which and why."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(errno.EIO, reason, url)

    def __reduce__(self) -> Any:
        return StoreFault, (self.filename, self.strerror)  # Ray sends it to the driver


class Found(NamedTuple):
    """An object of a store."""

    size: int
    modified: datetime
    tag: dict[str, Any]
    """What names this version of it."""


class Store:
    """Objects by name below a URL. Every method raises StoreFault, after asking again for `patience` seconds."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.url, self.patience = url, patience

    @functools.cached_property
    def _objects(self) -> Any:
        return _connected(self.url, self.patience)

    def names(self, below: str = "") -> dict[str, Found]:
        """All objects, or those whose name begins with the folder `below`."""
        import obstore

        with self._faults():
            listed = [entry for part in obstore.list(self._objects, below or None) for entry in part]
        return {each["path"]: Found(each["size"], each["last_modified"], _tag(each)) for each in listed}

    def read(self, name: str) -> tuple[bytes, dict[str, Any]] | None:
        """What an object holds, and which version that is; None where there is none."""
        import obstore

        with self._faults():
            try:
                answer = obstore.get(self._objects, name)
                return bytes(answer.bytes()), _tag(answer.meta)
            except FileNotFoundError as error:
                _none_unless(error)
                return None

    def fetch(self, name: str, path: Path) -> bool:
        """Bring an object as a file, whole or not at all, with the time at which it was stored; False where there is
        none."""
        import obstore

        with self._faults():
            try:
                answer = obstore.get(self._objects, name)
            except FileNotFoundError as error:
                _none_unless(error)
                return False
        with whole(path) as part:
            with open(part, "wb") as file, self._faults():
                size = sum(file.write(bytes(piece)) for piece in answer.stream())
            if size != answer.meta["size"]:
                raise StoreFault(self.url, f"{name} ended after {size} of {answer.meta['size']} bytes")
            stored = answer.meta["last_modified"].timestamp()
            os.utime(part, (stored, stored))
        return True

    def write(self, name: str, content: bytes | Path) -> None:
        """Store an object, whole or not at all, over the one that is there."""
        self._put(name, content, "overwrite")

    def create(self, name: str, content: bytes) -> dict[str, Any] | None:
        """Store an object where there is none; the version that was stored, None where there is another."""
        return self._put(name, content, "create")

    def replace(self, name: str, content: bytes, tag: dict[str, Any]) -> dict[str, Any] | None:
        """Store an object over its version `tag`; the version that was stored, None where it has another by now."""
        return self._put(name, content, tag)

    def _put(self, name: str, content: bytes | Path, mode: Any) -> dict[str, Any] | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        deadline = time.monotonic() + self.patience
        with self._faults():
            while True:
                try:
                    return _tag(obstore.put(self._objects, name, content, mode=mode))
                except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                    if mode == "overwrite" or (isinstance(error, FileNotFoundError) and mode == "create"):
                        raise
                    _none_unless(error)
                    break
                except GenericError as error:
                    # What may have been done, and must be done once, the client does not do again; it is seen below.
                    if "HTTP error" not in str(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
        there = self.read(name)  # an answer that was lost on the way looks like another writer
        return there[1] if there and there[0] == content else None

    def remove(self, *names: str) -> None:
        """Remove objects, those that are there."""
        import obstore

        with self._faults(), suppress(FileNotFoundError):
            if names:
                obstore.delete(self._objects, list(names))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Whatever goes wrong as a StoreFault that says so in a line."""
        from obstore.exceptions import BaseError

        try:
            yield
        except StoreFault:
            raise
        except (BaseError, FileNotFoundError) as error:
            raise StoreFault(self.url, _reason(str(error))) from None


@functools.cache
def _connected(url: str, patience: float) -> Any:
    """The client's own store."""
    from obstore.store import MemoryStore, from_url

    if url.startswith("memory:"):
        return MemoryStore() if patience == PATIENCE else _connected(url, PATIENCE)
    return from_url(
        url,
        client_options={
            "timeout": timedelta(hours=1),
            "read_timeout": timedelta(seconds=SILENCE),
            "connect_timeout": timedelta(seconds=5),
            "allow_http": True,
        },
        retry_config={
            "max_retries": int(patience),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
            "retry_timeout": timedelta(seconds=patience),
        },
    )


def _tag(meta: Any) -> dict[str, Any]:
    return {name: value for name in ("e_tag", "version") if (value := meta.get(name)) is not None}


def _none_unless(error: Exception) -> None:
    """None for an object that is not there; raises for a bucket that is not."""
    if "NoSuchBucket" in str(error):
        raise error


def _reason(text: str) -> str:
    """What a store answered, in a few words."""
    code, status = (
        "".join(re.findall(pattern, text)[:1]) for pattern in (r"<Code>(\w+)</Code>", r"status code: (\d+)")
    )
    if (
        "169.254.169.254" in text
        or "/latest/api/token" in text
        or "credential" in text.lower()
        or "token request" in text.lower()
    ):
        return "no credentials; set those of the store in the environment, such as AWS_ACCESS_KEY_ID"
    if code == "NoSuchBucket" or ("bucket" in text.lower() and status == "404"):
        return "there is no such bucket"
    if code in ("ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"):
        return f"the credentials are refused ({code})"
    if status in ("401", "403") or "PermissionDenied" in text:
        return f"access is refused ({code or status})"
    if status == "501" or code == "NotImplemented" or "not supported" in text.lower():
        return "it has no conditional writes"
    after = re.search(r"Server returned.*?: (\d{3} [A-Za-z ]+)|(HTTP error: [^\n]*)", text)
    return f"it does not answer ({(after[1] or after[2]).strip()})" if after else text.splitlines()[0][:200]


@functools.cache
def store_at(url: str, patience: float = PATIENCE) -> Store:
    """The store of a URL."""
    return Store(url, patience)
