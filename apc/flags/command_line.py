"""The flags of a command, split by argparse into words and by each field's type into values."""

import argparse
import difflib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_type_hints

from apc.escaping import short
from apc.flags.documented import documented
from apc.flags.words import FieldFlag, dashed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made", bound="DataclassInstance")

ALIKE = ({"eval_size", "sizes"}, {"num_workers", "crf_workers"})
"""Fields that mean much the same in different commands, for whoever remembers the other one's."""


class CommandLine:
    """The flags of one command, of one dataclass or several. `read` tells what the words name, and nothing else: what
    is not named keeps the default of whoever takes the values."""

    def __init__(self, prog: str, about: str, usage: str = "", epilog: str = "") -> None:
        self.prog = prog
        self._parser = _Parser(
            prog=prog,
            description=_plain(about),
            usage=usage or None,
            epilog=epilog or None,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        self._fields: dict[str, FieldFlag] = {}
        self._gone: dict[str, Callable[[str], str]] = {}
        self._shown: dict[str, Callable[[], str]] = {}
        self._groups: dict[str, Any] = {"": self._parser}

    def group(self, title: str, about: str = "") -> None:
        """Begin a group of the help, with a sentence about it."""
        self._groups[title] = self._parser.add_argument_group(title, _plain(about) or None)

    def add(
        self,
        kind: type,
        title: str = "",
        *,
        names: Collection[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        hidden: bool = False,
        lenient: bool = False,
    ) -> None:
        """Add fields of a dataclass to a group of the help.

        Args:
            kind: The dataclass.
            title: Title of the group; default: none.
            names: Fields to add; default: all.
            defaults: Defaults to show instead of the class's.
            texts: Help instead of the docstrings.
            hidden: Whether the flags are left out of the help.
            lenient: Whether a value that does not convert stays a text, for the class itself to refuse, and a bool
                takes true or false.
        """
        if title not in self._groups:
            self.group(title)
        hints, source = get_type_hints(kind, include_extras=True), documented(kind)
        for each in fields(kind):
            if names is not None and each.name not in names:
                continue
            spelt = FieldFlag.of(each.name, hints[each.name], lenient=lenient, required=_is_required(each, defaults))
            self._fields[each.name] = spelt
            text = (texts or {}).get(each.name, source[each.name].text)
            help = argparse.SUPPRESS if hidden else _plain(text + _default_told(each, defaults, text))
            spelt.add_to(self._groups[title], help)

    def refuse(self, flag: str, sentence: Callable[[str], str]) -> None:
        """Answer a flag that is no more with the sentence made of its value, empty where it has none."""
        self._gone[flag] = sentence

    def on(self, flag: str, text: Callable[[], str]) -> None:
        """Answer a flag as `--help` is: print the text and end the program."""
        self._shown[flag] = text

    def help(self) -> str:
        """What `--help` prints."""
        return self._parser.format_help()

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Value of each field that the words name; ValueError for a slip. `--help` prints and ends the program."""
        words = [dashed(word) for word in words]
        for word in words:
            if word in self._shown:
                print(self._shown[word]())
                raise SystemExit(0)
        for word, after in zip(words, [*words[1:], ""], strict=False):
            flag, equals, value = word.partition("=")
            if flag in self._gone:
                raise ValueError(self._gone[flag](value if equals else after))
            if flag.startswith("--") and flag not in self._parser._option_string_actions:
                raise ValueError(f"there is no flag {short(flag, quoted=False)}; {self._meant(flag)}")
        for spelt in self._fields.values():
            if spelt.mark.once and sum(word.partition("=")[0] == spelt.flag for word in words) > 1:
                raise ValueError(f"{spelt.flag} is given twice; it takes one value")
        named, left = self._parser.parse_known_args(words)
        if left:
            like_a_flag = left[0].startswith("-")
            word = short(left[0], quoted=not like_a_flag)
            what = f"there is no flag {word}" if like_a_flag else f"{word} belongs to no flag"
            raise ValueError(f"{what}; --help lists them all")
        for name, spelt in self._fields.items():
            if spelt.required and name not in vars(named):
                raise ValueError(f"{spelt.flag} is missing; {self.prog} --help tells what it is")
        return {name: self._fields[name].value(text) for name, text in vars(named).items()}

    def _meant(self, flag: str) -> str:
        asked, names = short(flag.strip("-"), quoted=False).replace("-", "_"), list(self._fields)
        same = [name for name in names for group in ALIKE if {name, asked} <= group]
        near = [*same, *difflib.get_close_matches(asked, names, n=1)]
        return f"did you mean {self._fields[near[0]].flag}?" if near else "--help lists them all"


def parse(kind: type[Made], words: Sequence[str], prog: str) -> Made:
    """The dataclass as the words of a command line have it; ValueError for a slip."""
    line = CommandLine(prog, inspect.getdoc(kind) or "")
    line.add(kind)
    return taken(kind, line.read(words))


def taken(kind: type[Made], values: Mapping[str, Any], **defaults: Any) -> Made:
    """The dataclass of those values that are its fields, over `defaults` and its own."""
    return kind(**defaults | {each.name: values[each.name] for each in fields(kind) if each.name in values})


class _Parser(argparse.ArgumentParser):
    """Splits words into flags and values; what it cannot split is a ValueError."""

    def error(self, message: str) -> NoReturn:
        flag = message.removeprefix("argument ").partition(":")[0].split("/")[-1]
        if "expected" in message:
            raise ValueError(f"{flag} needs a value; {self.prog} --help tells which")
        if "ignored explicit argument" in message:
            raise ValueError(f"{flag} takes no value")
        if "required: " in message:
            first = message.partition("required: ")[2].split(", ")[0]
            raise ValueError(f"{first} is missing; {self.prog} --help tells what it is")
        raise ValueError(message)


def _is_required(field: "Field[Any]", defaults: Mapping[str, Any] | None) -> bool:
    return field.default is MISSING and field.default_factory is MISSING and field.name not in (defaults or {})


def _default_told(field: "Field[Any]", defaults: Mapping[str, Any] | None, text: str) -> str:
    """The default in brackets, where there is one and the help does not tell it itself."""
    default = (defaults or {}).get(field.name, field.default)
    if "default:" in text or default is MISSING or default is None or default is False or default in ("", ()):
        return ""
    return f" (default: {' '.join(map(str, default)) if isinstance(default, tuple) else str(default)})"


def _plain(text: str) -> str:
    """Text as argparse takes it, which fills in %-signs."""
    return text.replace("%", "%%")
