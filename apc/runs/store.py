"""Object stores as a place of runs: `s3://bucket/prefix`, `gs://bucket/prefix`.

A run lives in a folder of the machine that trains it, here as everywhere. Where runs belong to a store that folder is a
copy, below APC_CACHE, of what the store has, and a file in it says of which: `copy_of`. The client is obstore, for it
alone has conditional puts, for all these stores alike; it is imported where a store is named, and nowhere else.
"""

import errno
import functools
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from apc.files import part_in, whole, write_atomically

KINDS = {"s3": "S3", "gs": "Google Cloud Storage"}
"""Schemes of the stores there are; memory:// is for tests, and file:// is a folder."""
MARK = ".apc-store"
"""A file in the copy of a store: the store's address."""
PATIENCE = 120.0  # seconds for which a store that fails is asked again while a run trains
IMPATIENCE = 15.0  # and where somebody waits
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>/.*)?")  # a Path has lost one of the slashes


class StoreFault(OSError):
    """A store does not do what it was asked to; the sentence says which and why."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(errno.EIO, reason, url)


class Found(NamedTuple):
    """An object of a store."""

    size: int
    modified: datetime
    tag: dict[str, Any]
    """What names this version of it."""


def address(place: str | os.PathLike[str]) -> str:
    """The store that a path of a command line names, as a URL; empty where it is a folder. ValueError for an unknown
    kind of store."""
    found = _ADDRESS.fullmatch(os.fspath(place))
    scheme, rest = (found["scheme"].lower(), found["rest"] or "") if found else ("file", "")
    if scheme == "file" or not (rest or scheme in KINDS):
        return ""
    rest = rest.strip("/")
    if scheme not in (*KINDS, "memory"):
        known = ", ".join(f"{name}://" for name in KINDS)
        raise ValueError(f"{scheme}://{rest}: there is no store of the kind {scheme}; choose from {known} or a folder")
    if not rest:
        raise ValueError(f"{scheme}://: names no bucket; give {scheme}://BUCKET/PREFIX")
    return f"{scheme}://{rest}"


def folder_of(place: str | os.PathLike[str]) -> Path:
    """Where a store's copy lies on this machine, whether it is there or not; of a folder the folder."""
    if url := address(place):
        home = Path(os.environ.get("APC_CACHE") or Path.home() / ".cache" / "apc").resolve()
        return home / "stores" / f"{url.rpartition('/')[2][:40]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    text = os.fspath(place)
    return Path("/" + text.partition(":")[2].lstrip("/")) if text.lower().startswith("file:/") else Path(text)


def copied(place: str | os.PathLike[str]) -> Path:
    """The folder of `folder_of`, marked as the copy of its store; nothing is asked of the store. ValueError where no
    client is installed, or nothing can be written here."""
    folder = folder_of(place)
    if not (url := address(place)):
        return folder
    if find_spec("obstore") is None:
        raise ValueError(f"{url}: needs the package obstore; run `pip install 'apc-search[store]'`")
    if not (folder / MARK).is_file():
        try:
            write_atomically(folder / MARK, url)
        except OSError as error:
            raise ValueError(f"{folder}: cannot be written ({error.strerror}); set APC_CACHE to another one") from None
    return folder


def shown(folder: Path) -> str:
    """A folder of runs as it was named: of a copy its store."""
    mark = folder / MARK
    return mark.read_text() if mark.is_file() else str(folder)


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
                return _none_unless(error)

    def fetch(self, name: str, path: Path) -> bool:
        """Bring an object as a file, whole or not at all, with the time at which it was stored; False where there is
        none."""
        import obstore

        with self._faults():
            try:
                answer = obstore.get(self._objects, name)
            except FileNotFoundError as error:
                return bool(_none_unless(error))
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
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._faults():
            try:
                return _tag(obstore.put(self._objects, name, content, mode=mode))
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                if mode == "overwrite" or (isinstance(error, FileNotFoundError) and mode == "create"):
                    raise
                _none_unless(error)
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
        client_options={"timeout": "300 s", "connect_timeout": "5 s", "allow_http": True},
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


def store_of(folder: Path, patience: float = PATIENCE) -> Store | None:
    """The store whose copy a folder is; None for a folder of its own."""
    mark = folder / MARK
    return store_at(mark.read_text(), patience) if mark.is_file() else None


def copy_of(path: Path) -> tuple[Store, str] | None:
    """Store and name of the object whose copy a file of a run, or its folder, is; None where it is none's."""
    for folder in list(path.parents)[:3]:
        if store := store_of(folder):
            return store, path.relative_to(folder).as_posix()
    return None


def tell(path: Path) -> None:
    """Store a small file that says how a run is; where that fails the run itself goes on, or says so itself."""
    if there := copy_of(path):
        with suppress(OSError):
            there[0].write(there[1], path.read_bytes())


def forget(*paths: Path) -> None:
    """Remove files, here and in the store."""
    for path in paths:
        path.unlink(missing_ok=True)
        if there := copy_of(path):
            with suppress(StoreFault):
                there[0].remove(there[1])


def bring(*paths: Path) -> None:
    """Bring files that are not here from their store, where they have one."""
    for path in paths:
        if not path.is_file() and (there := copy_of(path)):
            there[0].fetch(there[1], path)


def require_usable(folder: Path) -> None:
    """ValueError where the store of a folder cannot be written, or takes no conditional writes: two commands could
    then overwrite each other's rows."""
    if not (store := store_of(folder, IMPATIENCE)):
        return
    name = part_in(Path()).name.replace(".apc-", ".probe-", 1) + f".{threading.get_ident()}"
    try:
        tag = store.create(name, b"1")
        another = store.create(name, b"2")
        right = store.replace(name, b"3", tag) if tag else None
        wrong = store.replace(name, b"4", tag) if tag else None
        store.remove(name)
    except StoreFault as fault:
        raise ValueError(f"{store.url}: cannot be used ({fault.strerror})") from None
    if another or wrong or not right:
        instead = "use one that has them (AWS, Google Cloud, MinIO) or a shared folder"
        raise ValueError(f"{store.url}: the store ignores the conditions of conditional writes; {instead}")
