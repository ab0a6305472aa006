"""A Config as plain values and back: dicts, rows, TOML files."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from errno import ENOENT
from pathlib import Path
from typing import Any

from apc.config.fields import PATHS, Config
from apc.escaping import short


def fields_of(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values checked against Config's field names; ValueError names `source`, the slip and the nearest field."""
    names = [f.name for f in fields(Config)]
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(short(key, quoted=False), names, n=1)
            meant = f"; did you mean {close[0]}?" if close else f"; the fields are {', '.join(names)}"
            raise ValueError(f"{source}: there is no field {short(key)}{meant}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def from_dict(values: Mapping[str, Any], base: Config | None = None, source: str = "config") -> Config:
    """Config with `values` laid over `base` (default: every field's default)."""
    return replace(base or Config(), **fields_of(values, source))


def from_toml(path: str | Path, base: Config | None = None) -> Config:
    """Config from a TOML file of fields, such as best.toml; keys it lacks keep `base`'s values."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {'there is no such file' if error.errno == ENOENT else error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from None
    return from_dict(_parsed(text, str(path)), base, source=str(path))


def _parsed(text: str, source: str) -> dict[str, Any]:
    """The TOML of a file; ValueError names `source` where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: not a TOML file ({short(error, quoted=False, most=200)})") from None
    except RecursionError:
        raise ValueError(f"{source}: not a file of fields; its values are nested too deep") from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        found = _ENDLESS.search(text)
        raise ValueError(f"{source}: {found[1] if found else 'a value'} is a number of too many digits") from None


_ENDLESS = re.compile(r"^[ \t]*([\w-]+)[ \t]*=[^\n]*?[0-9a-fA-F_]{3000}", re.M)
"""A field with a number so long that Python does not read it."""


def to_dict(cfg: Config) -> dict[str, Any]:
    """Flat dict of plain values, as written to rows and TOML."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(cfg).items()}


def without_paths(cfg: Config) -> dict[str, Any]:
    """Config as rows and training states keep it: folders and files by their last name only."""
    return to_dict(cfg) | {name: Path(getattr(cfg, name)).name for name in PATHS}
