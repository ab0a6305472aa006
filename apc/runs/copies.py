"""Folders that are copies of object stores: `s3://bucket/prefix` as a place of runs.

A run lives in a folder of the machine that trains it, here as everywhere. Where runs belong to a store that folder is a
copy, below APC_CACHE, of what the store has, and a file in it says of which. All else takes the copy for a folder of
runs, which it is; what is small is told to the store as it is written, and what is large is brought when it is needed.
"""

import hashlib
import os
import re
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from apc.files import cache_folder, part_in, write_atomically
from apc.runs.store import IMPATIENCE, KINDS, PATIENCE, Store, StoreFault, store_at

MARK = ".apc-store"
"""A file in the copy of a store: the store's address."""
_told: dict[Path, str] = {}
"""Folder -> the store whose copy this process takes it for, where there is no room for the mark."""
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>/.*)?")  # a Path has lost one of the slashes


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
        return (
            cache_folder().resolve()
            / "stores"
            / f"{url.rpartition('/')[2][:40]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        )
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
    _told[folder] = url
    if not (folder / MARK).is_file():
        try:
            write_atomically(folder / MARK, url)
        except OSError as error:
            raise ValueError(f"{folder}: cannot be written ({error.strerror}); set APC_CACHE to another one") from None
    return folder


def shown(folder: Path) -> str:
    """A folder of runs as it was named: of a copy its store."""
    mark = folder / MARK
    return mark.read_text(encoding="utf-8") if mark.is_file() else str(folder)


def store_of(folder: Path, patience: float = PATIENCE) -> Store | None:
    """The store whose copy a folder is; None for a folder of its own."""
    mark = folder / MARK
    url = mark.read_text(encoding="utf-8") if mark.is_file() else _told.get(folder, "")
    return store_at(url, patience) if url else None


def copy_of(path: Path) -> tuple[Store, str] | None:
    """Store and name of the object whose copy a file of a run, or its folder, is; None where it is none's."""
    for folder in list(path.parents)[:3]:
        if store := store_of(folder):
            return store, path.relative_to(folder).as_posix()
    return None


def tell(path: Path, text: str) -> None:
    """Store a small file that says how a run is, whether or not it is here; where that fails the run itself goes on, or
    says so itself."""
    if there := copy_of(path):
        with suppress(StoreFault):
            there[0].write(there[1], text.encode())


def forget(*paths: Path) -> None:
    """Remove files, here and in the store."""
    for path in paths:
        path.unlink(missing_ok=True)
    found = [there for path in paths if (there := copy_of(path))]
    with suppress(StoreFault):
        for store in {store for store, _ in found}:
            store.remove(*(name for of, name in found if of is store))


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
