"""A folder or a file of labels, and the photographs that it means, whatever it calls them."""

import contextlib
import os
import re
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from apc.data.headers import SUFFIXES
from apc.files import files_below


class Source:
    """Files of labels at `given`, a folder or one file, and photographs below `images` or beside them."""

    def __init__(self, given: Path, images: Path | None = None) -> None:
        if not given.exists():
            raise ValueError(f"{given}: there is no such file or folder")
        if images and not images.is_dir():
            raise ValueError(f"images is {str(images)!r}; there is no such folder")
        self.given, self.images = given, images
        self.root = given if given.is_dir() else given.parent

    @cached_property
    def files(self) -> list[Path]:
        """Every file of labels that there may be: SOURCE, or all files below it."""
        return [self.given] if self.given.is_file() else _files(self.root)

    def of_kind(self, *suffixes: str) -> list[Path]:
        """Files of labels by their suffix."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """Files of labels by their name, those nearest to SOURCE first."""
        found = [path for path in self.files if path.name.lower() in names]
        return sorted(found, key=lambda path: (len(path.parts), names.index(path.name.lower())))

    @cached_property
    def pictures(self) -> list[Path]:
        """Every image file, photograph or mask, below `images` or else SOURCE's folder."""
        files = _files(self.images) if self.images else _files(self.root) if self.given.is_file() else self.files
        return [path for path in files if path.suffix.lower() in SUFFIXES]

    def place(self, path: Path) -> str:
        """A file's path below the folder it was found in."""
        for top in (self.images, self.root):
            if top and path.is_relative_to(top):
                return path.relative_to(top).as_posix()
        return path.name

    def find(self, name: object, *beside: Path) -> Path:
        """The photograph that a file of labels names, first looked for in the folders `beside`; ValueError says why
        there is none.

        A path that leaves SOURCE is looked for by its name, and so is an address of a labelling server; a name may
        lack its suffix, and letters may differ in case.
        """
        text = _plain(str(name))
        for top in filter(None, (*beside, self.images, self.root)):
            if text and self._mine(path := Path(os.path.normpath(top / text))):
                return path
        for wanted in dict.fromkeys((text, _without_prefix(text))):
            parts = [part for part in wanted.split("/") if part not in ("", ".", "..")]
            for cut in range(len(parts)):
                tail = "/".join(parts[cut:])
                for top in filter(None, (self.images, self.root)):
                    if self._mine(top / tail):
                        return top / tail
                found = self._by_tail.get(tail.casefold(), [])
                if len(found) == 1:
                    return found[0]
                if found:
                    raise ValueError(f"photograph {name!r} may be {self.place(found[0])} or {self.place(found[1])}")
        raise ValueError(f"there is no photograph {name!r} below {self.images or self.root}")

    def _mine(self, path: Path) -> bool:
        tops = [top for top in (self.images, self.root) if top]
        inside = any(path.is_relative_to(top) for top in tops)
        return path.suffix.lower() in SUFFIXES and inside and os.path.isfile(path)

    @cached_property
    def _by_tail(self) -> dict[str, list[Path]]:
        """Photographs by the ends of their paths, with and without suffix."""
        tails: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            parts = unicodedata.normalize("NFC", self.place(path)).casefold().split("/")
            for cut in range(len(parts)):
                tail = "/".join(parts[cut:])
                tails[tail].append(path)
                tails[tail.rpartition(".")[0]].append(path)
        return tails


def _files(top: Path) -> list[Path]:
    """Files below a folder, in folders that are links too; hidden ones and what a Mac adds to archives left out."""
    return [path for path in files_below(top, hidden=False) if "__MACOSX" not in path.relative_to(top).parts]


def _plain(name: str) -> str:
    """A name as a path with slashes: it may be a path of Windows, an address, or a local file of Label Studio."""
    if re.match(r"[a-z0-9]{2,}://|/data/(upload|local-files)/", name, re.I):
        with contextlib.suppress(ValueError):  # no address; it may still be a name
            parts = urlsplit(name)
            name = unquote(parse_qs(parts.query).get("d", [""])[0] or parts.path)
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/"))


def _without_prefix(name: str) -> str:
    """A name without the eight digits that Label Studio puts before what is uploaded."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + re.sub(r"^[0-9a-f]{8}-", "", file)
