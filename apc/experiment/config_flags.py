"""One way from a command line to a Config, for verbs, scripts and searches alike.

    [PRESET] [--plus] [--config TOML] [--FIELD VALUE ...]

The preset is the first word; with --plus it is that of APC+. File and flags lie over it, in this order; of another
method than apc they lie over that method's published setting or, on small data, its proportions.
"""

import difflib
import functools
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from apc.config import PRESETS, Config, bounds, from_dict, from_toml, plus
from apc.escaping import short
from apc.experiment.small_folders import FOLLOW, enough_steps
from apc.flags import CommandLine, Flag, choose_from, documented, flag_of

Layer = Callable[[Config], Config]
"""Lays values over a Config."""


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What lies between preset and flags."""

    plus: bool = False
    """APC+ instead of the paper's setting: after it comes a round of training on its own refined masks, and photographs
    of your own are scored a fifth larger than they are trained. File and flags lie over it. More --rounds leave the
    epochs before them as they are, unless --epochs says how many all are."""
    config: Annotated[Path | None, Flag(once=True, metavar="TOML")] = None
    """File of Config fields, such as a best.toml, that lies over the preset and under the flags."""


def preset_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """The preset, which is the first word or else pocket, and the other words."""
    if not words or words[0].startswith("-"):
        return "pocket", list(words)
    if words[0] not in PRESETS:
        raise ValueError(f"there is no preset {short(words[0])}; {choose_from(PRESETS, words[0])}")
    return words[0], list(words[1:])


def parts() -> dict[str, list[str]]:
    """Fields of Config by the part they belong to: data, model, losses, training, scoring."""
    found: dict[str, list[str]] = {}
    for name, field in documented(Config).items():
        found.setdefault(field.part, []).append(name)
    return found


def add_fields(line: CommandLine, title: str, names: Collection[str], preset: str, *, hidden: bool = False) -> None:
    """Add fields of Config as a group of the help, with the preset's values as their defaults."""
    line.add(Config, title, names=names, defaults=vars(PRESETS[preset]()), hidden=hidden, lenient=True)


COMMON = ("root", "weights", "num_train", "image_size", "epochs", "batch_size", "lr", "eval_every", "seed")
"""Fields that most commands name."""


def add_common_fields(line: CommandLine, preset: str) -> None:
    """Begin the help with the file and the fields that most commands name."""
    line.group("the common ones", f"Every field of Config is a flag: the others stand below ({', '.join(parts())}).")
    line.add(ConfigFile, "the common ones")
    add_fields(line, "the common ones", COMMON, preset)


def add_all_fields(line: CommandLine, preset: str, but: Collection[str] = ()) -> None:
    """Add every field of Config but some, each part a group of the help."""
    for part, names in parts().items():
        add_fields(line, part, [name for name in names if name not in but], preset)
    answer_old_spellings(line)


def answer_old_spellings(line: CommandLine) -> None:
    """Tell whoever types --preset or --set what has taken their place."""
    line.refuse("--preset", lambda name: f"--preset is gone; write {name or 'the preset'} as the first word")
    line.refuse("--set", _instead_of_set)


def _instead_of_set(setting: str) -> str:
    name, _, value = setting.partition("=")
    near = difflib.get_close_matches(short(name, quoted=False), [f.name for f in fields(Config)], n=1)
    example = f"{flag_of(near[0])} {shlex.quote(short(value, quoted=False))}" if near else "--theta 0.8"
    return f"--set is gone; every field is a flag: write {example}"


def config_of(preset: str, values: Mapping[str, Any], *between: Layer) -> Config:
    """Config of a preset and of what a command line says.

    Args:
        preset: Name of the preset.
        values: What `CommandLine.read` gave: `config`, fields of Config, and others, which are left alone.
        between: What lies over the file and under the flags.
    """
    file: list[Layer] = [functools.partial(from_toml, values["config"])] if values.get("config") else []
    layers: list[Layer] = [*file, *between, functools.partial(from_dict, named_fields(values))]
    first = PRESETS[preset]()
    given = _given(first, layers)
    if values.get("plus"):
        if (method := _over(_longer(first, 1), layers).method) != "apc":
            raise ValueError(f"--plus is APC with further parts; method {method} has its own setting, so leave one out")
        cfg = _plus(first, layers, given)
    else:
        cfg = _over(first, layers)
    cfg = enough_steps(cfg, given)
    if cfg.method != "apc":
        from apc.methods import published, registry

        base = registry.preset(preset, cfg)
        cfg = _over(base, layers)
        if preset in ("voc", "coco") and cfg.root:
            published.require_weights(cfg, _unnamed(base, layers))
    if cfg.dataset != "pocket" and not cfg.root:
        raise ValueError(f"--root is missing: {cfg.dataset} needs the folder of its images")
    if cfg.dataset == "pocket" and cfg.root:
        raise ValueError(f"--root is {cfg.root}, but pocket data lies in no folder; write folder as the first word")
    return cfg


def named_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command line's values that are fields of Config."""
    return {f.name: values[f.name] for f in fields(Config) if f.name in values}


def _plus(preset: Config, layers: Sequence[Layer], given: Collection[str]) -> Config:
    """The layers over APC+ over a preset: larger photographs follow the image size and encoder that they choose, and
    where no number of epochs is `given`, their rounds come behind the preset's own epochs."""
    best = plus(preset)
    chosen = _over(_roomy(best), layers)
    best = plus(replace(preset, image_size=chosen.image_size, encoder=chosen.encoder))
    if "epochs" in given:
        return _over(best, layers)
    cfg = _over(_roomy(best), layers)
    return replace(cfg, epochs=preset.epochs + cfg.rounds * cfg.round_epochs)


def _roomy(cfg: Config) -> Config:
    """A config with so many epochs that all rounds have their place."""
    return replace(cfg, epochs=int(bounds()["epochs"].high))


def _given(base: Config, layers: Sequence[Layer]) -> set[str]:
    """Which numbers of epochs the layers choose: those that come out the same over two others."""
    one, two = (_over(_longer(base, times), layers) for times in (1, 2))
    return {name for name in ("epochs", *FOLLOW) if getattr(one, name) == getattr(two, name)}


def _longer(base: Config, times: int) -> Config:
    """A config with other numbers of epochs: so many, and so few of those that follow them, that whatever layers choose
    beside them has its place."""
    few: dict[str, Any] = {name: times - (name != "round_epochs") for name in FOLLOW}
    return replace(base, epochs=base.epochs + 1000 * times, **few)


def _unnamed(base: Config, layers: Sequence[Layer]) -> set[str]:
    """Which fields of weights the layers leave as they are."""
    laid = _over(replace(base, weights="?", deeplab_weights="?"), layers)
    return {name for name in ("weights", "deeplab_weights") if getattr(laid, name) == "?"}


def _over(base: Config, layers: Sequence[Layer]) -> Config:
    return functools.reduce(lambda cfg, layer: layer(cfg), layers, base)
