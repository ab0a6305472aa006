"""Every command of README, CONTRIBUTING and docs: its flags are there; and it runs, made small.

What stands for something on a page stands for something small here: `photos` and `DATA` are drawn, `runs/RUN` is the
run that was trained last, training takes a step or two, and whatever would train for an hour only lists its runs.
"""

import re
import runpy
import shutil
import sys
import tomllib
from pathlib import Path

import exports
import pytest
from pages import PAGES, ROOT, commands
from trees import make_coco, make_voc

from apc.cli.main import main
from apc.config import PRESETS

pytestmark = pytest.mark.usefixtures("sketched")

SMALL = "--encoder pocket --image-size 48 --eval-size 48 --epochs 1 --frozen-epochs 0 --batch-size 4".split()
SMALL += "--decoder-blocks 1 3 --decoder-width 8 --unfreeze-blocks 2 --amp none".split() + ["--weights", ""]
"""Flags that make a run small."""
SIDES = {"256": "48", "512": "64", "640": "48", "800": "56", "960": "64", "1120": "72"}
"""Sides in pixels of a page -> here."""
MORE = {
    ("apc", "doctor"): ["--quick"],  # tests/search/test_doctor.py starts Ray
    ("apc", "data", "draw"): ["--num-train", "8", "--num-val", "4"],
    ("apc", "data", "prepare"): ["--partial"],
}
"""Flags that make other commands small."""
NOT_OURS = ("pip", "pre-commit", "pytest", "ruff", "mypy", "ray", "export", "tensorboard", ".ci/run")
NOT_OURS += ("cvat-cli", "label-studio", "docker", "kubectl", "sbatch", "squeue", "scancel")
"""Programs of others, and what calls them: only what they are given is looked at."""

EVERY = {tuple(words): name for name, page in PAGES.items() for words in commands(page)}
EVERY |= {w[w.index("apc") :]: name for w, name in EVERY.items() if w[0] in ("docker", "sbatch") and "apc" in w}
"""Words of each command -> a page that shows it; those that others start are commands too."""


def is_script(words: tuple[str, ...] | list[str]) -> bool:
    return words[0] == "python" and words[1].startswith("experiments/")


def is_ours(words: tuple[str, ...] | list[str]) -> bool:
    return words[0] in ("apc", "cp") or is_script(words)


RUN = [name for name, page in PAGES.items() if any(map(is_ours, commands(page)))]
"""Pages with commands that are run."""


def run(words: list[str]) -> int:
    """Exit code of `apc ...` or `python SCRIPT ...` in this process."""
    if words[0] == "apc":
        return main(words[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words[1:])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(words[1], run_name="__main__")
    code = ended.value.code
    return code if isinstance(code, int) else int(code is not None)


def help_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` says of the flags of a command."""
    length = 3 if words[:2] in (("apc", "data"), ("apc", "search")) else 2
    asked = [[*words[:length], "--help"]]
    if is_script(words) or words[1] == "search":
        asked.append([*words[:length], "--help-fields"])
    for one in asked:
        try:
            run(one)
        except SystemExit as ended:
            assert not ended.code
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [w for w in EVERY if w[0] == "apc" or is_script(w)], ids=" ".join)
def test_every_flag_of_a_command_is_in_its_help_and_its_preset_is_one(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    if is_script(words) and not (ROOT / words[1]).exists():
        assert ("cp", "experiments/table7_pooling.py", words[1]) in EVERY
        words = ("python", "experiments/table7_pooling.py", *words[2:])
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    known = re.findall(r"--[a-z][a-z0-9-]*", help_of(words, capsys)) + ["--help", "--help-fields"]
    assert set(flags) <= set(known)
    rest = words[3:] if words[1] == "search" else words[2:]
    if (is_script(words) or words[1] in ("train", "search")) and rest and not rest[0].startswith("-"):
        assert rest[0] in PRESETS


@pytest.mark.parametrize("words", [w for w in EVERY if w[0] in NOT_OURS], ids=" ".join)
def test_what_programs_of_others_are_given_is_there(words: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for word in words:
        if extra := re.fullmatch(r"\.\[(\w+)\]", word):
            assert extra[1] in project["project"]["optional-dependencies"]
        elif re.search(r"\.(yaml|py|txt|sbatch)$|^tests/|Dockerfile$", word):
            assert (ROOT / word).exists(), word
    if words[0] == "pytest" and "-m" in words:
        marks = [mark.partition(":")[0] for mark in project["tool"]["pytest"]["ini_options"]["markers"]]
        assert set(words[words.index("-m") + 1].split()) - {"not", "and", "or"} <= set(marks)


def test_every_command_is_run_or_looked_at() -> None:
    assert {w[0] for w in EVERY} <= {*NOT_OURS, "apc", "python", "cp"}
    assert {w[1] for w in EVERY if w[0] == "python" and not is_script(w)} <= {
        *("docs/generate.py", "docs/draw_masks.py"),
        "-m",  # benchmarks, which take a quarter of an hour
    }


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the commands of a page read, to be copied."""
    room = tmp_path_factory.mktemp("room")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(room)
        furnish()
    return room


def furnish() -> None:
    """Write here what stands for what a page speaks of."""
    for folder in ("experiments", "reports"):
        shutil.copytree(ROOT / folder, folder, ignore=shutil.ignore_patterns("__pycache__", "figures"))
    Path("runs/smoke").mkdir(parents=True)
    make_voc(Path("DATA"))
    make_coco(Path("DATA"))
    assert main(["data", "prepare", "coco", "--root", "DATA", "--partial"]) == 0
    exports.cvat(Path("task"))
    shutil.make_archive("task", "zip", "task")
    exports.table("Foto;Tier;Ort\na.jpg;red;x\nb.jpg;blue;y\nc.jpg;red|blue;x\nd.jpg;;y\n")(Path("pets"))
    assert main(["data", "draw", "--root", "drawn", "--num-train", "8", "--num-val", "4"]) == 0


@pytest.fixture(scope="module")
def listed() -> set[tuple[str, ...]]:
    """Commands that have only listed their runs, which pages share."""
    return set()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_run_one_after_the_other(
    name: str, room: Path, listed: set[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(room, tmp_path, dirs_exist_ok=True)
    if name != "docs/how-to/own-photographs.md":  # which draws them itself
        Path("drawn").rename("photos")
    for words in commands(PAGES[name]):
        if words[0] == "cp":
            shutil.copy(*words[1:])
        elif is_ours(words):
            stand_in(words)
            small = made_small(words)
            if tuple(small) not in listed:
                assert run(small) == 0, " ".join(small)
            if "--dry-run" in small:
                listed.add(tuple(small))


def stand_in(words: list[str]) -> None:
    """Make what a command reads: the search before it, whose runs are only listed, would have chosen the setting that
    it trains, and written the rows that it reports."""
    if words == ["apc", "report"] and not Path("reports/results").exists():
        shutil.copytree(ROOT / "reports/reference/results/grid_lambda", "reports/results/grid_lambda")
    if "--config" in words and not (chosen := Path(words[words.index("--config") + 1])).exists():
        chosen.parent.mkdir(parents=True, exist_ok=True)
        chosen.write_text("k = 4\n")
    if "--val-list" in words:  # the server's list, which comes with its own download
        listed = Path("DATA") / words[words.index("--val-list") + 1]
        listed.write_text("\n".join(path.stem for path in listed.parents[2].glob("JPEGImages/*.jpg")))


def made_small(words: list[str]) -> list[str]:
    """A command of a page as it is run here."""
    trained = sorted(Path("runs").glob("*/row.json"), key=lambda path: path.stat().st_mtime)
    latest = str(trained[-1].parent) if trained else "runs/RUN"
    small = [re.sub(r"^runs/(RUN|[0-9a-f]{12})$", latest, SIDES.get(word, word)) for word in words]
    small += MORE.get(tuple(words[:3]), [])
    lists = is_script(words) or words[1] == "search"
    if lists or words[1] == "train":
        at = 3 if words[1] == "search" else 2
        preset = words[at] if len(words) > at and words[at] in PRESETS else "pocket"
        small = without(small, "--weights") if preset != "pocket" else small
        small += SMALL if preset != "pocket" else ["--num-train", "8", "--num-val", "4", "--weights", ""]
        small += ["--epochs", "1", "--frozen-epochs", "0"] if preset == "pocket" and not lists else []
    if lists and not {"--help", "--dry-run"} & {*words}:
        small += ["--dry-run"]
    return small


def without(words: list[str], flag: str) -> list[str]:
    """Words without a flag and its value."""
    at = words.index(flag) if flag in words else len(words)
    return words[:at] + words[at + 2 :]
