"""A dataclass as the flags of a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from apc.flags import POSITIONAL, REPEATED, CommandLine, Flag, documented, parse, spelt


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Count things."""

    # --- what -----------------
    folder: Annotated[Path, POSITIONAL]
    """Where they
    lie."""
    more: Annotated[tuple[Path, ...], POSITIONAL]
    """Where others lie."""
    # --- how ------------------
    out: Path
    """Where 100 % of the counts go."""
    share: float | None = None
    """Share that is counted."""
    sizes: tuple[int, ...] = (1, 2)
    """Sizes."""
    scales: Annotated[tuple[float, ...] | None, Flag(empty=True)] = None
    """Scales."""
    lists: tuple[Path, ...] = (Path("train.csv"),)
    """Lists."""
    kinds: Annotated[tuple[Literal["red", "blue"], ...], REPEATED] = ()
    """Kinds."""
    num_workers: int = 3
    """Processes."""
    verbose: bool = False
    """Tell more."""


NEEDED = ["a", "b,c", "d", "--out", "o"]


def test_words_become_values_of_the_fields_types() -> None:
    flags = parse(Flags, [*NEEDED, "--share", "1", "--sizes", "3", "4,5", "--verbose"], "count")
    assert flags == Flags(
        folder=Path("a"), more=(Path("b,c"), Path("d")), out=Path("o"), share=1.0, sizes=(3, 4, 5), verbose=True
    )


def test_positional_words_may_stand_behind_flags() -> None:
    assert parse(Flags, ["a", "--out", "o", "--num-workers", "2", "b"], "count").more == (Path("b"),)


def test_the_last_mention_holds_and_a_repeated_flag_adds_up() -> None:
    words = [*NEEDED, "--sizes", "3", "--kinds", "red", "--sizes=4", "--kinds=blue"]
    assert (parse(Flags, words, "count").sizes, parse(Flags, words, "count").kinds) == ((4,), ("red", "blue"))


def test_a_tuple_is_named_with_a_value_unless_none_means_something() -> None:
    assert parse(Flags, [*NEEDED, "--scales"], "count").scales == ()
    assert parse(Flags, NEEDED, "count").scales is None
    for words in (["--sizes"], ["--sizes="], ["--sizes", ","], ["--lists", ""]):
        with pytest.raises(ValueError, match=f"{words[0].strip('=')} needs a value; leave it out for its default"):
            parse(Flags, [*NEEDED, *words], "count")


def test_blanks_behind_commas_are_no_part_of_a_value() -> None:
    flags = parse(Flags, [*NEEDED, "--kinds", "red, blue", "--sizes", "3, 4"], "count")
    assert (flags.kinds, flags.sizes) == (("red", "blue"), (3, 4))


def test_only_what_is_named_is_read() -> None:
    line = CommandLine("count", "")
    line.add(Flags)
    assert line.read(["a", "b", "--out=o", "--num_workers", "3"]) == {
        "folder": Path("a"),
        "more": (Path("b"),),
        "out": Path("o"),
        "num_workers": 3,
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "FOLDER is missing; count --help tells what it is"),
        (["a", "b"], "--out is missing; count --help tells what it is"),
        ([*NEEDED, "--shar", "1"], "there is no flag --shar; did you mean --share?"),
        ([*NEEDED, "--crf-workers=1"], "there is no flag --crf-workers; did you mean --num-workers?"),
        ([*NEEDED, "--xyz"], "there is no flag --xyz; --help lists them all"),
        ([*NEEDED, "--share", "half"], "--share is 'half'; it must be a number"),
        ([*NEEDED, "--num-workers", "1.5"], "--num-workers is '1.5'; it must be a whole number"),
        ([*NEEDED, "--kinds", "bleu"], "--kinds is 'bleu'; choose from red, blue (did you mean blue?)"),
        ([*NEEDED, "--share"], "--share needs a value; count --help tells which"),
        ([*NEEDED, "--verbose=1"], "--verbose takes no value"),
        (["a", "b", "--out", ""], "--out is ''; it must name a file or a folder"),
        (["", "b", "--out", "o"], "folder is ''; it must name a file or a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_slip_is_a_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as slip:
        parse(Flags, words, "count")
    assert str(slip.value) == sentence


def test_help_is_the_docstrings_with_the_defaults() -> None:
    line = CommandLine("count", Flags.__doc__ or "")
    line.add(Flags)
    told = " ".join(line.help().split())
    for part in ("Count things.", "Where they lie.", "100 % of", "Sizes. (default: 1 2)", "Processes. (default: 3)"):
        assert part in told
    assert "{red,blue}" in told and "(default: False)" not in told and "(default: None)" not in told


def test_fields_are_documented_by_their_docstrings_and_the_headings_above() -> None:
    found = documented(Flags)
    assert found["folder"] == ("Where they lie.", "what")
    assert found["num_workers"] == ("Processes.", "how")


def test_a_value_is_spelt_as_it_is_read() -> None:
    assert spelt("decoder_blocks", (1, 2)) == ["--decoder-blocks", "1", "2"]
    assert spelt("bilstm", False) == ["--bilstm", "false"]
    assert spelt("weights", "") == ["--weights", ""]
