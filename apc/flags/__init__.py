"""A command's flags, read off a dataclass: a field is a flag, its type says what it takes, its docstring is its help.

    @dataclass(frozen=True, kw_only=True)
    class Flags:  # and its docstring says what the command does
        checkpoint: Annotated[Path, POSITIONAL]
        sizes: tuple[int, ...] = ()

    flags = parse(Flags, words, "apc eval")  # apc eval RUN_FOLDER --sizes 640 800

Values of a tuple stand apart or with commas between. A bool is a switch without a value, but of `Config` it takes true
or false. A slip is a ValueError of one sentence: the nearest flag, or what the value must be.
"""

from apc.flags.command_line import CommandLine, parse, taken
from apc.flags.documented import Documented, documented
from apc.flags.suggested import train_command
from apc.flags.usual import at_least, reports_folder, runs_folder
from apc.flags.words import POSITIONAL, REPEATED, Flag, choose_from, dashed, flag_of, spelt

__all__ = [
    "POSITIONAL",
    "REPEATED",
    "CommandLine",
    "Documented",
    "Flag",
    "at_least",
    "choose_from",
    "dashed",
    "documented",
    "flag_of",
    "parse",
    "reports_folder",
    "runs_folder",
    "spelt",
    "taken",
    "train_command",
]
