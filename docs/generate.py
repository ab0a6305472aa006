"""Make docs/reference/ and the tree of docs/explanation/house.md from the code: `python docs/generate.py`.

Meanings stand once, in docstrings; a page is what they say, so whoever finds a word wrong mends it in the code.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import apc
from apc import api, config
from apc.cli import data, doctor, evaluate, export, predict, report, status, train
from apc.experiment.config_flags import ConfigFile, parts
from apc.experiment.flags import Amount, Choosing, Deciding, Place, Racing, Workers
from apc.flags import Flag, documented, flag_of
from apc.runs import folder, protocols, rows, scores
from apc.search.search_settings import SearchSettings

ROOT = Path(__file__).resolve().parents[1]
VERBS = {
    "apc data prepare": data.PrepareFlags,
    "apc data check": data.CheckFlags,
    "apc data cache": data.CacheFlags,
    "apc data import": data.ImportFlags,
    "apc data split": data.SplitFlags,
    "apc data draw": data.DrawFlags,
    "apc train": train.TrainFlags,
    "apc eval": evaluate.EvaluateFlags,
    "apc predict": predict.PredictFlags,
    "apc export": export.ExportFlags,
    "apc status": status.StatusFlags,
    "apc report": report.ReportFlags,
    "apc doctor": doctor.DoctorFlags,
}
FIRST = "<!-- made from the code by docs/generate.py, as all below this line -->"
"""In a page that is half written by hand: where the other half begins."""


def pages() -> dict[Path, str]:
    """File -> text of every page that is made, wholly or below FIRST."""
    reference = ROOT / "docs" / "reference"
    house = ROOT / "docs" / "explanation" / "house.md"
    by_hand = house.read_text(encoding="utf-8").partition(FIRST)[0]
    made = {
        reference / "config.md": config_page(),
        reference / "scores.md": scores_page(),
        reference / "run-folder.md": run_folder_page(),
        reference / "row.md": row_page(),
        reference / "command-line.md": command_line_page(),
        reference / "python.md": python_page(),
        house: [by_hand + FIRST, "", "```text", *tree(), "```"],
    }
    return {path: re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n" for path, lines in made.items()}


def head(title: str, *sentences: str) -> list[str]:
    return [f"# {title}", "", "<!-- made by docs/generate.py: change the code's docstrings -->", "", *sentences]


def table(names: Iterable[str], lines: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table; bars in cells are escaped."""
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines]
    names = list(names)
    return ["", *("| " + " | ".join(line) + " |" for line in [names, ["---"] * len(names), *cells]), ""]


def config_page() -> list[str]:
    """Every field of Config, by part, and what the presets change."""
    text = head(
        "Every setting",
        "A field is a flag of every command (`decoder_width` is `--decoder-width`), a key of a TOML file, a column of",
        "rows, and something to search. Defaults are the paper's. All of it stands in `apc/config/fields.py`.",
    )
    for part, names in parts().items():
        lines = [[f"`{n}`", code(config.default_of(n)), takes(n), documented(config.Config)[n].text] for n in names]
        text += ["", f"## {part}", *table(["field", "default", "takes", "meaning"], lines)]
    made = {name: preset() for name, preset in config.PRESETS.items()}
    changed = [f.name for f in fields(config.Config) if any(getattr(c, f.name) != f.default for c in made.values())]
    own = [[f"`{n}`", code(config.default_of(n)), *(code(getattr(c, n)) for c in made.values())] for n in changed]
    text += ["", "## Presets", "", "What a preset sets; all else has its default."]
    names = ["field", "default", *(f"`{name}`" for name in made)]
    return text + table(names, own) + [*plus_of(made), ""]


def plus_of(presets: Mapping[str, config.Config]) -> list[str]:
    """What `--plus` sets over each preset."""
    made = {name: config.plus(preset) for name, preset in presets.items()}
    pairs = [(made[name], preset) for name, preset in presets.items()]
    changed = [f.name for f in fields(config.Config) if any(getattr(a, f.name) != getattr(b, f.name) for a, b in pairs)]
    lines = [[f"`{n}`", *(code(getattr(c, n)) for c in made.values())] for n in changed]
    text = ["What `--plus` makes of each, APC+; `folder`'s was measured ([how](../how-to/own-photographs.md)), and the"]
    text += ["others are reckoned from it."]
    return [*text, *table(["field", *(f"`{name} --plus`" for name in made)], lines)]


def takes(name: str) -> str:
    """What a field may be: its choices, or its type and bounds."""
    kind, bounds = config.types()[name], config.bounds()
    if name not in bounds:
        return kind_of(kind)
    low, high = bounds[name]
    upper = "" if high == float("inf") else f" to {high:g}" if high < 1e6 else f" to {round(high):,}"
    return f"{kind_of(kind)} from {low:g}{upper}"


def kind_of(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) is Literal:
        return " ".join(f"`{choice}`" for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"{kind_of(get_args(hint)[0])}, several"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    return names.get(hint, str(hint))


def code(value: Any) -> str:
    """A value as it is written on a command line."""
    if isinstance(value, tuple):
        return code(" ".join(map(str, value)))
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "–" if value in ("", None) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def scores_page() -> list[str]:
    """Every score, and how the name of a protocol is put together."""
    text = head("Scores", "How a score is taken stands in its name:", "")
    text += ["```text", *(protocols.__doc__ or "").strip().splitlines(), "```", "", "## Names in rows and tables"]
    lines = [
        [f"`{name}`", s.unit, "row" if s.in_rows else "measured later", "lower" if s.lower_is_better else "", s.meaning]
        for name, s in scores.SCORES.items()
    ]
    text += table(["name", "unit", "where", "better", "meaning"], lines)
    text += ["", "## What a protocol says", "", (protocols.Protocol.__doc__ or "").strip()]
    told = documented(protocols.Protocol)
    return text + table(
        ["field", "default", "meaning"],
        [[f"`{f.name}`", code(f.default), told[f.name].text] for f in fields(protocols.Protocol)],
    )


def run_folder_page() -> list[str]:
    """Every file that a run and a search leave."""
    first, _, rest = (folder.__doc__ or "").strip().partition("\n\n")
    text = head("Run folder", first, "", "```text", *rest.splitlines(), "```")
    for kind in (folder.RunFolder, folder.ModelFolder, folder.RunsFolder):
        text += ["", f"## {kind.__name__}", "", " ".join((kind.__doc__ or "").split())]
        text += table(["file", "what it is, and who writes it"], files_of(kind))
    return text


def files_of(kind: Any) -> Iterator[list[str]]:
    """File and meaning of each property or method of a folder that names a path."""
    here = kind(Path("."))
    for name, member in vars(kind).items():
        getter = member.fget if isinstance(member, property) else member
        hints = getattr(getter, "__annotations__", {})
        if name.startswith("_") or hints.get("return") not in (Path, folder.ModelFolder, folder.RunFolder):
            continue
        placeholders = [f"<{given}>" for given in hints if given != "return"]
        path = getattr(here, name)(*placeholders) if placeholders else getattr(here, name)
        shown = str(path) if isinstance(path, Path) else f"{path.path}/"
        yield [f"`{shown}`" if shown != "./" else "the folder itself", (getter.__doc__ or "")]


def row_page() -> list[str]:
    """Every field of a row."""
    first, _, rest = (rows.__doc__ or "").strip().partition("\n\n")
    told = documented(rows.Row)
    lines = [[f"`{f.name}`", told[f.name].text] for f in fields(rows.Row)]
    return head(
        "Row", first, "", rest, *table(["field", "meaning"], lines), (rows.run_id.__doc__ or "").replace("    ", "")
    )


def command_line_page() -> list[str]:
    """Every command with its own flags."""
    text = head(
        "Command line",
        "The preset is the first word: `pocket` (the default), `folder`, `voc` or `coco`. Of `apc train`, of every",
        "script of `experiments/` and of `apc search SPACE` [every setting](config.md) is a flag too, and",
        "`--config FILE.toml` lies between preset and flags. Exit codes: 0, 1 where a run failed, 2 for bad input, 3",
        "where Ray died for good or its cluster is gone, 130 where it was interrupted.",
    )
    for command, kind in VERBS.items():
        text += ["", f"## `{command}`", "", *paragraphs(kind), *flags_table(kind)]
    text += ["", "## Scripts of `experiments/` and `apc search SPACE`", ""]
    usual = {"trials": "`20`; a script's own", "stop_early": "`halving`"}
    for kind, of in (
        (ConfigFile, "Of `apc train` too: "),
        (Amount, ""),
        (Deciding, "Of a script whose table judges claims: "),
        (Choosing, ""),
        (Racing, "Of a search that chooses: "),
        (Place, ""),
        (Workers, ""),
        (SearchSettings, "Of a space that Optuna searches: "),
    ):
        text += ["", of + " ".join(paragraphs(kind)), *flags_table(kind, usual if kind is SearchSettings else {})]
    text += ["", "### Scripts", *table(["script", "what it is"], scripts())]
    return text


def python_page() -> list[str]:
    """What `import apc` gives: functions with their docstrings, and the fields of what they return."""
    text = head("Python", *(apc.__doc__ or "").strip().splitlines())
    for name in sorted(apc.__all__, key=str.lower):
        thing = getattr(api, name, None) or getattr(apc, name)  # `apc.search` is a package, too
        if isinstance(thing, type):
            told = documented(thing)
            text += ["", f"## `apc.{name}`", "", inspect.getdoc(thing) if thing.__doc__ and name != "Config" else ""]
            lines = [[f"`{f.name}`", told[f.name].text] for f in fields(thing) if f.name in told]
            text += ["[Every setting](config.md)."] if name == "Config" else table(["field", "meaning"], lines)
        elif callable(thing):
            text += ["", f"## `apc.{name}({arguments(thing)})`", "", *quoted(inspect.getdoc(thing) or "")]
    return text


def arguments(function: Any) -> str:
    """Names and defaults of a function's arguments."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))[1:-1]


def quoted(docstring: str) -> list[str]:
    """A docstring with its example as a block."""
    words, mark, example = docstring.partition("\n>>> ")
    return [*words.splitlines(), *(["", "```text", *(">>> " + example).splitlines(), "```"] if mark else [])]


def paragraphs(kind: type) -> list[str]:
    return [line.strip() for line in (kind.__doc__ or "").strip().splitlines()]


def flags_table(kind: Any, usual: Mapping[str, str] = {}) -> list[str]:
    """A line a field that is a flag; `usual` are defaults that commands have in place of the field's."""
    hints, told = get_type_hints(kind, include_extras=True), documented(kind)
    lines = []
    for f in fields(kind):
        if f.name not in told or not f.init:
            continue
        args = get_args(hints[f.name]) if hasattr(hints[f.name], "__metadata__") else (hints[f.name],)
        marks = [mark for mark in args[1:] if isinstance(mark, Flag)]
        shown = f.name.upper() if marks and marks[0].positional else flag_of(f.name)
        default = usual.get(f.name) or default_of(f)
        lines.append([f"`{shown}`", default, "–" if args[0] is bool else kind_of(args[0]), told[f.name].text])
    return table(["flag", "default", "takes", "meaning"], lines)


def default_of(f: "Field[Any]") -> str:
    """A flag's default; "needed" where it has none."""
    if f.default is not MISSING:
        return "off" if f.default is False else code(f.default) if f.default != () else "–"
    return "see meaning" if f.default_factory is not MISSING else "needed"


def scripts() -> Iterator[list[str]]:
    for path in sorted((ROOT / "experiments").glob("*.py")):
        if path.stem != "__init__":
            yield [f"`experiments/{path.name}`", summary(path)]


def tree() -> list[str]:
    """Every module by its room, with the first sentence of its docstring."""
    lines: list[str] = []
    for room in ("apc", "search_spaces", "experiments"):
        lines += [*([""] if lines else []), *branch(ROOT / room, 0)]
    return lines


def branch(path: Path, depth: int) -> Iterator[str]:
    """A folder, then its files, then its folders."""
    yield line_of(f"{path.name}/", path / "__init__.py", depth)
    inside = sorted(path.iterdir())
    for file in inside:
        if file.suffix == ".py" and not file.stem.startswith("__"):
            yield line_of(file.name, file, depth + 1)
    for folder_inside in inside:
        if (folder_inside / "__init__.py").is_file():
            yield from branch(folder_inside, depth + 1)


def line_of(name: str, file: Path, depth: int) -> str:
    return f"{'  ' * depth + name:<34}{summary(file)}".rstrip()


def summary(path: Path) -> str:
    """First sentence of a module's docstring, or as much of it as stands before its first colon."""
    paragraph = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    sentence = re.split(r"(?<=[^.])\. (?=[A-Z`])", " ".join(paragraph.split()))[0].rstrip(".")
    return sentence if len(sentence) <= 120 else sentence.split(": ")[0].split("; ")[0]


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
