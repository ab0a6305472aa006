"""A field as the words of a command line, and back."""

import difflib
import types
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from apc.escaping import short


@dataclass(frozen=True)
class Flag:
    """How a field stands on a command line, where its type does not say it; put into Annotated."""

    positional: bool = False
    """Its value stands without a flag."""
    repeated: bool = False
    """Values of a tuple add up where the flag is repeated; otherwise the last mention holds."""
    once: bool = False
    """A second mention is a slip; of other flags the last mention holds."""
    empty: bool = False
    """Whether a tuple may be named without a value, which then means something."""
    metavar: str = ""
    """What stands for the value in the help."""


BEYOND_ALL = 1e15
"""No number of a command is as large; those of Config have bounds of their own."""

POSITIONAL = Flag(positional=True)
REPEATED = Flag(repeated=True)


class FieldFlag(NamedTuple):
    """A field as it is spelt on a command line."""

    name: str
    hint: Any
    mark: Flag
    lenient: bool
    required: bool

    @classmethod
    def of(cls, name: str, hint: Any, *, lenient: bool, required: bool) -> "FieldFlag":
        marks = [mark for mark in get_args(hint)[1:] if isinstance(mark, Flag)] if _is_annotated(hint) else []
        return cls(name, _bare(hint), marks[0] if marks else Flag(), lenient, required)

    @property
    def flag(self) -> str:
        return self.name if self.mark.positional else flag_of(self.name)

    @property
    def several(self) -> bool:
        return get_origin(self.hint) is tuple

    def add_to(self, group: Any, help: str) -> None:
        """Hand the field to argparse, as words: `value` makes of them what the type says."""
        if self.hint is bool and not self.lenient:
            group.add_argument(self.flag, action="store_true", help=help)
            return
        if self.hint is bool:  # of a setting that may be on already: true or false, and alone it means true
            group.add_argument(self.flag, dest=self.name, nargs="?", const="true", metavar=self._metavar(), help=help)
            return
        options: dict[str, Any] = {"help": help, "metavar": self.mark.metavar or self._metavar()}
        if self.mark.positional:
            options["nargs"] = "+" if self.several else None if self.required else "?"
            action = group.add_argument(self.name, **options)
            action.required = self.required  # an empty tuple may be for its taker to refuse
        else:
            several = {"nargs": "*", "action": "extend" if self.mark.repeated else "store"} if self.several else {}
            group.add_argument(self.flag, dest=self.name, **several, **options)

    def _metavar(self) -> str:
        one = get_args(self.hint)[0] if self.several else self.hint
        if get_origin(one) is Literal:
            return "{" + ",".join(map(str, get_args(one))) + "}"
        named = {bool: "{true,false}", int: "N", float: "X", Path: "PATH"}.get(one, "TEXT")
        return self.name.upper() if self.mark.positional else named

    def value(self, words: Any) -> Any:
        """What the words mean; ValueError names the flag and what it takes."""
        if isinstance(words, bool):
            return words
        if not self.several:
            return self._one(words, self.hint)
        kind = get_args(self.hint)[0]
        parts = words if kind is Path else [part.strip() for word in words for part in word.split(",")]
        values = tuple(self._one(part, kind) for part in parts if part)
        if not (values or self.lenient or self.mark.empty):
            raise ValueError(f"{self.flag} needs a value; leave it out for its default")
        return values

    def _one(self, word: str, kind: Any) -> Any:
        try:
            value = _read(word, kind)
            if not self.lenient and isinstance(value, int | float) and not abs(value) < BEYOND_ALL:
                raise ValueError(f"it must be a {'whole' if kind is int else 'finite'} number below {BEYOND_ALL:g}")
            return value
        except ValueError as error:
            if self.lenient:
                return word
            raise ValueError(f"{self.flag} is {short(word)}; {error}") from None


def _read(word: str, kind: Any) -> Any:
    """One word as its type has it; ValueError tells what it must be."""
    if "\0" in word:
        raise ValueError("a NUL byte cannot be in it")
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if word not in choices:
            raise ValueError(choose_from(choices, word))
        return word
    if kind is bool:
        if word.lower() not in ("true", "false"):
            raise ValueError("it must be true or false")
        return word.lower() == "true"
    if kind is int:
        try:
            return int(word)
        except ValueError:
            raise ValueError("it must be a whole number") from None
    if kind is float:
        try:
            return float(word)
        except ValueError:
            raise ValueError("it must be a number") from None
    if kind is Path and not word:  # a variable of a shell that is not set; Path would take it for this folder
        raise ValueError("it must name a file or a folder")
    return kind(word)


def choose_from(choices: Collection[str], word: str) -> str:
    """What a word that is no choice is answered with: all of them, and the nearest."""
    near = difflib.get_close_matches(short(word, quoted=False), choices, n=1)
    return f"choose from {', '.join(choices)}" + (f" (did you mean {near[0]}?)" if near else "")


def _is_annotated(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _bare(hint: Any) -> Any:
    """The type without what Annotated adds, and without None."""
    if _is_annotated(hint):
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _bare(next(each for each in get_args(hint) if each is not type(None)))
    return hint


def spelt(name: str, value: Any) -> list[str]:
    """A field and its value as the words of a command line that `CommandLine.read` reads back."""
    values = value if isinstance(value, list | tuple) else [value]
    return [flag_of(name), *(str(each).lower() if isinstance(each, bool) else str(each) for each in values)]


def flag_of(name: str) -> str:
    """Flag of a field."""
    return f"--{name.replace('_', '-')}"


def dashed(word: str) -> str:
    """`--eval_size` as `--eval-size`; the value behind = stays."""
    flag, equals, value = word.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}" if flag.startswith("--") else word
