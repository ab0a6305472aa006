"""Bad input to a search: one sentence, exit code 2, before Ray starts, and nothing of what was there is touched."""

import os
from pathlib import Path

import pytest
from refusal import contents, refused

import apc.experiment.runner
import search_spaces
from apc.cli.main import main

NAME = "space_simple.pocket"
TINY = "--num-train 16 --num-val 4 --weights= --crf none --epochs 1 --frozen-epochs 0 --warmup-steps 0"
FLAGS = [*TINY.split(), "--seeds", "1", "--trials", "5"]
pytestmark = pytest.mark.usefixtures("nothing_starts")


OWN_PLAN = "class Plan:\n    knobs, max_points = ('theta',), 3\n    def next(self, done):\n        "
BROKEN: dict[str, tuple[str, list[str]]] = {
    "an unknown knob": ("SPACE = {'lamda1': Real(0.0, 1.0)}", ["no field 'lamda1'", "did you mean lambda1"]),
    "an unknown choice": ("SPACE = {'pooling': Choice(('max', 'topk'))}", ["'topk'", "did you mean top_k"]),
    "a range upside down": ("SPACE = {'theta': Real(0.9, 0.5)}", ["theta runs from 0.9 to 0.5", "upside down"]),
    "a function's range upside down": (
        "def space(t):\n    return {'theta': t.suggest_float('theta', 0.9, 0.5)}",
        ["space(trial) fails", "ValueError"],
    ),
    "a condition on a knob that is not in the space": (
        "SPACE = {'k': Whole(2, 5, when={'pooling': ('top_k',)})}",
        ["k depends on pooling, which is no knob above it"],
    ),
    "more patches for a class than an image has": (
        "SPACE = {'k': Whole(2, 4000), 'theta': Real(0.5, 0.9)}",
        ["k comes to ", "and an image of 96 pixels has 144 patches"],
    ),
    "a plan with an unknown knob": ("PLAN = grid({'lamda1': [0.1]})", ["no field 'lamda1'", "did you mean lambda1"]),
    "no space at all": ("SPICE = {}", ["neither a PLAN nor a SPACE"]),
    "an error at import": ("x = 1\n1 / 0", [".py, line 4: cannot be imported (ZeroDivisionError: division by zero)"]),
    "an exit at import": ("import sys\nsys.exit('no')", [".py, line 4: cannot be imported (SystemExit: no)"]),
    "no Python": ("SPACE = {", [".py, line 3: cannot be imported (SyntaxError: '{' was never closed"]),
    "an import of what is not there": ("import no_such_thing", [".py, line 3", "ModuleNotFoundError"]),
    "an exit of the function": ("import sys\ndef space(t):\n    sys.exit(3)", [".py, line 5: space(trial) fails"]),
    "an exception of the function": (
        "class Own(Exception): pass\ndef space(t):\n    raise Own('a\\nb')",
        [".py, line 5: space(trial) fails (Own: a b)"],
    ),
    "a function without end": ("def space(t):\n    return space(t)", [".py, line 4: space(trial) fails (RecursionE"]),
    "a setting of two ranges": (
        "def space(t):\n    t.suggest_float('theta', 0, 1)\n    return {'theta': t.suggest_int('theta', 0, 1)}",
        [".py, line 5: space(trial) fails (ValueError"],
    ),
    "a function that returns a list": ("def space(t):\n    return [1]", ["space(trial) returns list"]),
    "a function that returns numbers for names": ("def space(t):\n    return {1: 2}", ["space(trial) returns dict"]),
    "a function that is none": ("space = 3", ["space is int; it must be a function"]),
    "a SPACE that is a list": ("SPACE = ['theta']", ["SPACE is ['theta']; it must be a mapping"]),
    "a SPACE that is empty": ("SPACE = {}", ["SPACE is {}; it must be a mapping"]),
    "a key that is a number": ("SPACE = {1: Real(0.0, 1.0)}", ["SPACE has the key 1; a key is the name of a field"]),
    "a knob that is a tuple": ("SPACE = {'theta': (0.1, 0.9)}", ["theta is (0.1, 0.9); it must be a Real, a Whole or"]),
    "an end that is a text": ("SPACE = {'theta': Real('0', 1.0)}", ["theta has low '0'; it must be a finite number"]),
    "an end that is infinite": ("SPACE = {'lr': Real(0.1, float('inf'))}", ["lr has high inf; it must be a finite"]),
    "an end that is absent": (
        "SPACE = {'lr': Real(0.1, None)}",
        ["lr runs from 0.1 to None; both ends must be numbers"],
    ),
    "an end that is no whole number": ("SPACE = {'k': Whole(2, 4.5)}", ["k has high 4.5; it must be a whole number"]),
    "an end of 5,000 digits": ("SPACE = {'k': Whole(2, 10**5000)}", ["k has high a number beyond all"]),
    "a choice of letters": (
        "SPACE = {'pooling': Choice('max')}",
        ["pooling has the values 'max'; Choice takes a tuple"],
    ),
    "a condition that is a tuple": (
        "SPACE = {'pooling': Choice(('max', 'top_k')), 'k': Whole(2, 5, when=('pooling', 'top_k'))}",
        ["k has when ('pooling', 'top_k'); it must be a mapping"],
    ),
    "a condition that is a text": (
        "SPACE = {'pooling': Choice(('max', 'top_k')), 'k': Whole(2, 5, when={'pooling': 'top_k'})}",
        ["k depends on pooling = 'top_k'; give a tuple of values"],
    ),
    "a PLAN that is a number": ("PLAN = 3", ["PLAN is int; it must be points, a grid or stages"]),
    "a PLAN that is None": ("PLAN = None", ["PLAN is NoneType; it must be points, a grid or stages"]),
    "a FIRST that is a setting": (
        "SPACE = {'theta': Real(0.1, 0.9)}\nFIRST = {'theta': 0.5}",
        ["FIRST must be a tuple of settings"],
    ),
    "a FIRST that fails": (
        "SPACE = {'theta': Real(0.1, 0.9)}\ndef FIRST(base):\n    return ({'theta': base.thetta},)",
        [", line ", "FIRST fails (AttributeError"],
    ),
    "a FIRST of numbers": ("SPACE = {'theta': Real(0.1, 0.9)}\nFIRST = (0.5,)", ["FIRST must be a tuple of settings"]),
    "a plan that fails": (
        "PLAN = lambda base: 1 / 0",
        [".py, line 3: PLAN fails (ZeroDivisionError"],
    ),
    "a plan of no points": ("PLAN = grid({'theta': []})", ["PLAN has no points"]),
    "a plan of its own that fails": (
        f"{OWN_PLAN}raise KeyError\nPLAN = Plan()",
        [".py, line 6: PLAN fails (KeyError: )"],
    ),
    "a plan of its own that proposes numbers": (
        f"{OWN_PLAN}return [1]\nPLAN = Plan()",
        ["PLAN is Plan; it must be points, a grid or stages"],
    ),
    "stages that are a number": (
        "from apc.search.plans import Staged\nPLAN = Staged(3)",
        ["stages of 3: give a tuple of"],
    ),
    "stages without end": (
        "from apc.search.plans import Staged, Sweep\nPLAN = Staged((Sweep(knob='k', coarse=(1, 2), refine=10**9),))",
        ["sweep of k: refine is 1000000000; it must lie between 0 and 100"],
    ),
    "a plan of seeds": ("PLAN = grid({'seed': [0, 1]})", ["seed is no knob; --seeds says which are run"]),
    "a knob that is the seed": ("SPACE = {'seed': Whole(0, 3)}", ["seed is no knob; --seeds says which are run"]),
    "a function that gives the seed": (
        "def space(t):\n    return {'seed': t.suggest_int('seed', 0, 3)}",
        ["seed is no knob; --seeds says which are run"],
    ),
    "a BaseException": (
        "class Own(BaseException): pass\nraise Own('a')",
        ["line 4: cannot be", "Own: a"],
    ),
    "a function that suggests nothing": ("def space(t):\n    return {'theta': 0.5}", ["space(trial) suggests nothing"]),
    "a setting proposed twice, from two ranges": (
        "def space(t):\n    t.suggest_float('theta', 0, 1)\n    return {'theta': t.suggest_float('theta', 0.5, 1)}",
        [".py, line 5: space(trial) fails (RuntimeWarning: Inconsistent parameter values", '"theta"'],
    ),
    "a choice of tuples": (
        "SPACE = {'decoder_blocks': Choice(((1, 2), (1, 3)))}",
        ["has the value (1, 2); a study"],
    ),
    "a choice with a value twice": ("SPACE = {'k': Choice((3, 4, 3))}", ["k has a value twice: (3, 4, 3)"]),
    "a condition on a number": (
        "SPACE = {'pooling': Choice(('max', 'top_k')), 'k': Whole(2, 5, when={1: ('max',)})}",
        ["k depends on 1; give the name of a knob above"],
    ),
    "a step that does not divide it": (
        "SPACE = {'theta': Real(0.1, 0.9, step=0.3)}",
        ["theta has step 0.3, which"],
    ),
    "a step without end": ("SPACE = {'theta': Real(0.1, 0.9, step=1e-300)}", ["theta has step 1e-300, which does not"]),
    "a logarithm that is a text": (
        "SPACE = {'theta': Real(0.1, 0.9, log='x')}",
        ["theta has log 'x'; it must"],
    ),
    "a FIRST of another knob": (
        "SPACE = {'theta': Real(0.1, 0.9)}\nFIRST = ({'k': 3},)",
        ["FIRST has k, which is no knob of SPACE; it has theta"],
    ),
    "a FIRST that is none of the values": (
        "SPACE = {'pooling': Choice(('max', 'top_k'))}\nFIRST = ({'pooling': 'average'},)",
        ["FIRST has pooling 'average', which is none of its values"],
    ),
    "a setting twice in FIRST": (
        "SPACE = {'theta': Real(0.1, 0.9)}\nFIRST = ({'theta': 0.5}, {'theta': 0.5})",
        ["FIRST has a setting twice"],
    ),
    "a __getattr__ that raises": (
        "def __getattr__(name):\n    raise KeyError(name)\nSPACE = {'theta': Real(0.9, 0.1)}",
        ["theta runs from 0.9 to 0.1"],
    ),
    "a __getattr__ that exits": (
        "import sys\ndef __getattr__(name):\n    sys.exit(name)",
        ["has neither a PLAN nor a SPACE nor a function space(trial)"],
    ),
    "a mapping that raises": (
        "class Own(dict):\n    def items(self):\n        raise OSError('away')\nSPACE = Own(theta=Real(0.1, 0.9))",
        [".py, line 5: is no search space (OSError: away)"],
    ),
    "a value whose text fails": (
        "class Own:\n    def __repr__(self):\n        raise OSError\nSPACE = {'theta': Own()}",
        ["theta is a Own; it must be a Real, a Whole or"],
    ),
    "an exception whose text fails": (
        "class Own(Exception):\n    def __str__(self):\n        raise OSError\nraise Own",
        ["line 6: cannot be imported (Own: without a text)"],
    ),
    "a coroutine": ("async def space(t):\n    return {}", ["space(trial) returns coroutine; it must return a dict"]),
    "a choice that no study keeps": (
        "def space(t):\n    return {'pooling': t.suggest_categorical('pooling', [['max'], ['average']])[0]}",
        [".py, line 4: space(trial) fails (UserWarning: Choices for a categorical distribution"],
    ),
    "a plan without end": (
        "PLAN = grid({'theta': range(2000), 'k': range(2000)})",
        [".py, line 3", "grid of theta, k: it has 4,000,000 points, and 1,000,000 are the most"],
    ),
}


def test_a_grid_and_seeds_beyond_all_are_refused_before_they_take_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = ["--sampler", "grid", "--grid-points", "1000000000"]
    runs = ["--runs", str(tmp_path / "runs")]
    refused(["search", "simple", *points, *runs], capsys, "settings, and 1,000,000 are the most", "--grid-points")
    refused(["search", "simple", "--seeds", "10000000000", *runs], capsys, "--seeds is 10,000,000,000; 1,000,000 are")
    assert not (tmp_path / "runs").exists()


def test_a_space_may_be_called_like_a_word_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lambda.py").write_text("from apc.search.spaces import Real\nSPACE = {'lambda1': Real(0.0, 1.0)}\n")
    monkeypatch.setattr(search_spaces, "__path__", [*search_spaces.__path__, str(tmp_path)])
    assert list(search_spaces.load("lambda").SPACE) == ["lambda1"]


@pytest.mark.parametrize("what", BROKEN)
def test_a_space_with_a_slip_is_one_sentence_of_the_command(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, told = BROKEN[what]
    folder = tmp_path / "more_spaces"
    folder.mkdir()
    name = f"spoilt{list(BROKEN).index(what)}"
    (folder / f"{name}.py").write_text(
        f"from apc.search.plans import grid\nfrom apc.search.spaces import Choice, Real, Whole\n{source}\n"
    )
    monkeypatch.setattr(search_spaces, "__path__", [*search_spaces.__path__, str(folder)])
    refused(["search", name, *FLAGS], capsys, *told)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--objectives", "miuo"], ["--objectives miuo", "no run reports it", "miou"]),
        (["--objectives", "miou,seconds"], ["--objectives seconds", "train_seconds"]),
        (["--retries", "-1"], ["--retries is -1"]),
        (["--trials", "0"], ["--trials is 0"]),
        (["--sampler", "bohb"], ["--sampler is 'bohb'; choose from tpe, gp"]),
        (["--stop-early", "asha"], ["--stop-early asha", "add --eval-every 1"]),
        (["--stop-early", "asha", "--objectives", "patch_miou"], ["--stop-early asha", "not patch_miou", "tune_miou"]),
        (["--rungs", "1", "30"], ["--rungs 1 30: a run has", "cannot lie beyond them"]),
        (["--rungs", "3", "1"], ["--rungs 3 1: give rising epochs from 1 on"]),
        (["--rungs", "0", "1"], ["--rungs 0 1: give rising epochs from 1 on"]),
        (["--keep-share", "1"], ["--keep-share is 1; it must lie between 0 and 1"]),
        (["--bracket", "1"], ["--bracket is 1; it must be at least 2"]),
        (["--bracket", "9", "--stop-early", "none"], ["--bracket 9 is for --stop-early halving, and the rule is none"]),
        (["--rungs", "1", "--stop-early", "none"], ["--rungs 1 is for --stop-early halving, and the rule is none"]),
        (["--stop-early", "halving"], ["--stop-early halving: --epochs 1 with", "leaves one rung"]),
        (["--stop-early", "halving", "--objectives", "miou,train_seconds"], ["halving takes one objective"]),
        (["--stop-early", "halving", "--objectives", "patch_miou"], ["--stop-early halving", "not patch_miou"]),
        (["--log", "comet"], ["--log is 'comet'; choose from mlflow, wandb"]),
        (["--warm-start", "absent"], ["--warm-start absent", "no such folder"]),
        (["--sampler", "grid", "--hours", "1"], ["--sampler grid trains every", "leave out --trials, --hours"]),
        (["--grid-points", "4"], ["--grid-points is for --sampler grid", "is tpe"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_flag_with_a_slip(
    words: list[str], told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["search", "simple", *FLAGS, *words], capsys, *told)
    assert contents(tmp_path) == {}


IDLE = {"--stop-early": "asha", "--warm-start": "/tmp", "--search-seed": "0", "--gpu-hours": "1", "--trials": "20"}


@pytest.mark.parametrize("flag", IDLE)
def test_a_grid_refuses_the_flags_it_has_no_use_for_even_at_their_defaults(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [word for word in FLAGS if word not in ("--trials", "5")]
    refused(["search", "simple", *few, "--sampler", "grid", flag, IDLE[flag]], capsys, f"leave out {flag}\n")


def test_a_grid_takes_its_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sampler", "grid", "--grid-points", "2", "--objectives", "patch_miou", "--dry-run"]
    assert main(["search", "simple", *FLAGS[:-2], *words]) == 0
    assert capsys.readouterr().out.endswith("0 runs done, 8 to do\n")  # the corners of three knobs


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_told_with_the_command_that_installs_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("apc.experiment.flags.find_spec", lambda package: None)
    refused(["search", "simple", *FLAGS, "--log", name], capsys, f"--log {name}", f"pip install {name}")
    assert contents(tmp_path) == {}


def test_a_disk_that_fills_up_while_the_report_is_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(run: object) -> None:
        raise OSError(28, os.strerror(28), "reports/results")

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", full)
    told = "reports/results: No space left on device; the same command goes on"
    refused(["search", "simple", *FLAGS], capsys, told)
