"""One file a verb, each with `command(words)`; what they share is here. Heavy imports stand inside the functions."""

import contextlib
import difflib
import inspect
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from apc.config import PRESETS, Config, from_toml

_SAME = [{"eval_size", "sizes"}, {"num_workers", "crf_workers"}]
"""Parameters that mean much the same in different verbs, for whoever remembers the other one's."""


def parse(function: Callable[..., Any], words: Sequence[str], prog: str) -> Any:
    """Call `function` with flags made from its signature (tyro); a slip becomes a ValueError of one sentence."""
    import tyro

    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            return tyro.cli(function, args=list(words), prog=prog, config=(tyro.conf.FlagConversionOff,))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ValueError(_one_sentence(heard.getvalue(), function)) from None


def _one_sentence(box: str, function: Callable[..., Any]) -> str:
    """tyro's framed message as one sentence; of a flag that `function` lacks, with the one that was meant."""
    told = re.sub(r"\s+", " ", re.sub(r"[─-╿]+", " ", box)).strip()
    told = re.split(r" Argument helptext:| For full helptext", told)[0]
    unknown = re.search(r"[Uu]nrecognized options: (\S+?),? ", told + " ")
    if unknown:
        meant = _meant(unknown[1], function)
        return f"there is no flag {unknown[1]}; {f'did you mean {meant}?' if meant else '--help lists them all'}"
    return re.sub(r"^(Invalid choice|Value error|Missing value|Required options?) (?=[A-Zi])", "", told)


def _meant(flag: str, function: Callable[..., Any]) -> str:
    """The flag of `function` that means what `flag` means elsewhere, or else is spelt most like it; or nothing."""
    names = list(inspect.signature(function).parameters)
    if "cfg" in names:  # shown as the flags of its fields, and as --config
        names = [name for name in names if name != "cfg"] + ["config", *(f.name for f in fields(Config))]
    asked = flag.strip("-").split("=")[0].replace("-", "_")
    same = [name for name in names for group in _SAME if {name, asked} <= group]
    found = [*same, *difflib.get_close_matches(asked, names, n=1)]
    return f"--{found[0].replace('_', '-')}" if found else ""


def base_config(words: list[str], told: Config | None = None) -> tuple[Config, list[str]]:
    """Preset and --config taken off the front of the flags: what the other flags change, and those flags. With `told`,
    what all this came to, the preset is that of its method."""
    preset = words[0] if words and not words[0].startswith("-") else "pocket"
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; choose from {', '.join(PRESETS)}")
    cfg, rest = PRESETS[preset](), words[1:] if words and words[0] == preset else list(words)
    if told and told.method != "apc":
        from apc.methods import registry

        cfg = registry.preset(preset, told)
    rest = [part for word in rest for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    if "--config" in rest:
        at = rest.index("--config")
        if at + 1 == len(rest):
            raise ValueError("--config needs the name of a TOML file, such as best.toml")
        cfg, rest = from_toml(rest[at + 1], cfg), rest[:at] + rest[at + 2 :]
    return cfg, rest


def scores(metrics: dict[str, float]) -> str:
    """Scores as lines for a terminal, each with what its name means."""
    from apc.runs.scores import in_a_line

    return "\n".join(f"  {name:18} {value:6.2f}  {in_a_line(name)}".rstrip() for name, value in metrics.items())


def unnamed() -> Any:
    """Mark of a parameter whose fields are flags without a prefix."""
    import tyro

    return tyro.conf.arg(name="")


def positional() -> Any:
    """Mark of a parameter that is given without a flag."""
    import tyro

    return tyro.conf.Positional
