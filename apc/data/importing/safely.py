"""Files of strangers read and unpacked: text of any encoding, JSON, XML without entities, archives that stay inside."""

import codecs
import json
import mmap
import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

LARGEST = 2**31
"""Bytes of a file of labels; COCO 2017's instances are 0.45e9."""
LARGE, TIMES = 2**30, 200
"""An archive that unpacks to more bytes than LARGE may grow so many times; photographs hardly shrink in one."""


def read_bytes(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(
                f"{path}: has {size / 1e9:.1f} GB; at most {LARGEST / 1e9:.1f} are read; split it into parts"
            )
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def mentions(path: Path, opening: bytes, *words: bytes) -> list[bytes]:
    """Those of `words` that a file which begins with `opening` has anywhere; it is not taken into memory, for one of
    labels has up to half a gigabyte."""
    with open(path, "rb") as file:
        if not file.read(1 << 16).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(opening):
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return [word for word in words if whole.find(word) >= 0]


def read_text(path: Path) -> tuple[str, str]:
    """Text of a file and the name of its encoding: UTF-8, UTF-16 as spreadsheets save it, else Windows' cp1252."""
    data = read_bytes(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data[:1000]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise ValueError(f"{path}: is no text in UTF-16, as it begins; save it as UTF-8") from None
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is text in neither UTF-8, UTF-16 nor cp1252; save it as UTF-8") from None


def read_json(path: Path) -> Any:
    data = read_bytes(path)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply to be labels") from None
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error})") from None


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; ValueError where it defines entities, which files of labels never do."""
    data, parser = read_bytes(path), expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise ValueError(f"{path}: has a document type, by which XML can define entities; remove its line <!DOCTYPE …>")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"{path}: is no XML ({error})") from None
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply to be labels") from None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ZIP below `folder`; ValueError, before anything is written, for what leaves it or floods the disk."""
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            _require_harmless(archive, entries, shutil.disk_usage(folder).free)
            for entry in entries:
                packed.extract(entry, folder)
    # zipfile raises NotImplementedError for a compression it does not know, RuntimeError for a password
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: cannot be unpacked ({error})") from None


def _require_harmless(archive: Path, entries: list[zipfile.ZipInfo], free: int) -> None:
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
            raise ValueError(
                f"{archive}: its file {name!r} would leave the folder it is unpacked to; it is not unpacked"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"{archive}: its file {name!r} is a link; it is not unpacked")
    full, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if full > LARGE and full > TIMES * max(packed, 1):
        raise ValueError(f"{archive}: its {packed / 1e6:.0f} MB would become {full / 1e9:.0f} GB; it is not unpacked")
    if full > free:
        raise ValueError(f"{archive}: needs {full / 1e9:.1f} GB unpacked; there are {free / 1e9:.1f} GB beside --out")
