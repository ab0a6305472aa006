"""Input that Hypothesis makes up: words of a command line, bytes of lists, TOML, journals and files of a run."""

import tomllib
from dataclasses import fields
from typing import Any

import tomli_w
from hypothesis import strategies as st

from apc.cli.data import DrawFlags, ImportFlags, SplitFlags
from apc.cli.evaluate import EvaluateFlags
from apc.cli.export import ExportFlags
from apc.cli.predict import PredictFlags
from apc.cli.train import TrainFlags
from apc.config import Config
from apc.experiment.flags import Amount, Place, Workers
from apc.flags import flag_of
from apc.search.search_settings import SearchSettings

NUMBERS = [0, 1, -1, 2, 7, 48, 2**31, 2**63, 10**30, -(10**18)]
FRACTIONS = [0.0, -0.0, 0.5, 1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")]
WORDS = [
    "",
    " ",
    "-",
    "--",
    "=",
    ",",
    "true",
    "False",
    "nan",
    "inf",
    "-1e3",
    "1e400",
    "9" * 5000,
    "a\nb",
    "\x1b[31m",
    "é\u202e",
]
WORDS += [
    "x" * 600,
    "../..",
    "/dev/null",
    "/proc/self/mem",
    "caf\udce9",
    "%s%d{}",
    "pocket",
    "folder",
    "voc",
    "none",
    "3,4",
    "0,,",
]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
VALUE = st.one_of(st.sampled_from(WORDS), st.sampled_from([*map(str, NUMBERS), *map(str, FRACTIONS)]), TEXT)
"""A value that somebody may type, or some other program make."""


def _flags(kind: type) -> list[str]:
    """Flags of a verb."""
    return [flag_of(f.name) for f in fields(kind)]


OF_A_SETTING = [flag_of(f.name) for f in fields(Config)]
OF_A_SEARCH = [flag_of(f.name) for kind in (Amount, Place, Workers, SearchSettings) for f in fields(kind)]
OF_VERBS = {
    ("train",): [*OF_A_SETTING, "--config", "--set", *_flags(TrainFlags)],
    ("train", "folder", "--root", "PHOTOS"): [*OF_A_SETTING, "--config", "--device"],
    ("eval", "RUN"): _flags(EvaluateFlags),
    ("predict", "RUN", "PHOTOS/images/photo 1.png"): _flags(PredictFlags),
    ("export", "RUN"): _flags(ExportFlags),
    ("search", "simple"): [*OF_A_SEARCH, *OF_A_SETTING],
    ("search", "pooling"): [*OF_A_SEARCH, *OF_A_SETTING],
    ("data", "check", "folder", "--root", "PHOTOS"): ["--lists", "--root"],
    ("data", "cache", "folder", "--root", "PHOTOS"): ["--lists", "--image-size"],
    ("data", "prepare", "voc", "--root", "PHOTOS"): ["--partial"],
    ("data", "draw", "--root", "drawn"): _flags(DrawFlags),
    ("data", "import", "PHOTOS"): _flags(ImportFlags),
    ("data", "split", "--root", "PHOTOS"): _flags(SplitFlags),
    ("status",): ["--help"],
    ("report",): ["--help"],
    (): [],
}
"""Words that a command begins with -> flags of it; RUN and PHOTOS stand for a run and for a folder of photographs."""
EVERY_FLAG = sorted({flag for flags in OF_VERBS.values() for flag in flags})


@st.composite
def command_lines(draw: Any) -> list[str]:
    """Words of a command: flags of it, now and then of another one, and values of all kinds."""
    begin = draw(st.sampled_from(sorted(OF_VERBS)))
    words = list(begin)
    for _ in range(draw(st.integers(0, 3))):
        flag = draw(st.sampled_from((OF_VERBS[begin] or EVERY_FLAG) if draw(st.integers(0, 9)) else EVERY_FLAG))
        value = draw(VALUE)
        words += draw(st.sampled_from([[flag, value], [f"{flag}={value}"], [flag, value], [flag], [value]]))
    return words


def spoilt(good: bytes) -> st.SearchStrategy[bytes]:
    """Good bytes with a slip or two: lines dropped, doubled, swapped, cut, strange bytes put in; or no good byte."""
    lines = good.splitlines(keepends=True)
    at = st.integers(0, max(len(lines) - 1, 0))
    junk = st.one_of(
        st.binary(max_size=8),
        st.sampled_from([b'"', b"\0", b"\n", b"\r", b",", b"{}", b"[", b"null", b"NaN", b"1e999"]),
    )

    def dropped(i: int) -> bytes:
        return b"".join([*lines[:i], *lines[i + 1 :]])

    def doubled(i: int) -> bytes:
        return b"".join([*lines[: i + 1], *lines[i:]])

    def cut(share: float) -> bytes:
        return good[: int(share * len(good))]

    def put_in(place: tuple[float, bytes]) -> bytes:
        i = int(place[0] * len(good))
        return good[:i] + place[1] + good[i:]

    def instead(place: tuple[float, bytes]) -> bytes:
        i = int(place[0] * len(good))
        return good[:i] + place[1] + good[i + len(place[1]) :]

    places = st.tuples(st.floats(0, 1), junk)
    return st.one_of(
        at.map(dropped),
        at.map(doubled),
        st.just(b"".join(reversed(lines))),
        st.floats(0, 1).map(cut),
        places.map(put_in),
        places.map(instead),
        st.binary(max_size=40),
        st.just(b""),
    )


ANY = st.recursive(
    st.one_of(st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(FRACTIONS), TEXT, st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(FRACTIONS), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
"""A value of any kind."""


@st.composite
def tomls(draw: Any) -> bytes:
    """A file of fields: values of any kind under Config's names or strange ones; now and then no TOML at all."""
    names = st.one_of(st.sampled_from([f.name for f in fields(Config)]), TEXT.filter(bool))
    values = draw(st.dictionaries(names, ANY, max_size=3))
    text = tomli_w.dumps({name: value for name, value in values.items() if _is_toml(value)}).encode()
    return draw(st.one_of(st.just(text), spoilt(text)))


def _is_toml(value: Any) -> bool:
    """Whether TOML can hold it: whole numbers have 64 bits."""
    try:
        tomllib.loads(tomli_w.dumps({"a": value}))
    except (ValueError, TypeError):
        return False
    return True


def with_another_value(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A JSON object with one value of another kind, one left out, or one more."""
    names = st.one_of(st.sampled_from(sorted(good)), TEXT)
    return st.one_of(
        st.tuples(names, JSON).map(lambda pair: good | {pair[0]: pair[1]}),
        names.map(lambda left_out: {name: value for name, value in good.items() if name != left_out}),
    )
