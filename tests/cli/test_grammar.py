"""One grammar: the same words give the same Config through a verb, a script and a search."""

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
from refusal import refused

from apc.cli.main import main as apc
from apc.cli.train import read_flags as train_flags
from apc.config import PRESETS, Config
from apc.experiment import main as experiments
from apc.experiment.flags import read_flags
from apc.experiment.settings import settings_of
from apc.flags import spelt
from experiments import paper_setting

PLACES = {"pocket": {}, "folder": {"root": "my photographs"}, "voc": {"root": "data"}, "coco": {"root": "data"}}
"""Where the images of each preset lie."""
NAMED: dict[str, tuple[str, object]] = {
    "a number": ("--theta 0.8", {"theta": 0.8}),
    "a whole number for a fraction": ("--lambda1 1", {"lambda1": 1.0}),
    "a fraction in powers of ten": ("--lr 1e-3", {"lr": 0.001}),
    "a count": ("--num-val 7", {"num_val": 7}),
    "a field with an underscore": ("--num_val=7", {"num_val": 7}),
    "whole numbers apart": ("--decoder-blocks 1 2", {"decoder_blocks": (1, 2)}),
    "whole numbers with commas": ("--decoder-blocks=1,2", {"decoder_blocks": (1, 2)}),
    "false": ("--bilstm false", {"bilstm": False}),
    "True": ("--compile True", {"compile": True}),
    "a choice": ("--crf none", {"crf": "none"}),
    "an empty text": ("--weights=", {"weights": ""}),
    "a text with spaces": ("--weights 'my weights.pth'", {"weights": "my weights.pth"}),
    "a text with =": ("--weights a=b.pth", {"weights": "a=b.pth"}),
    "the last of two": ("--k 3 --k 4", {"k": 4}),
    "several": ("--k 3 --mce clamped --flip none", {"k": 3, "mce": "clamped", "flip": "none"}),
    "nothing": ("", {}),
}


def script(words: list[str]) -> Config:
    return settings_of(paper_setting.EXPERIMENT, read_flags(paper_setting.EXPERIMENT, words)).base


def search(words: list[str]) -> Config:
    experiment = experiments.space_experiment("pooling")
    return settings_of(experiment, read_flags(experiment, words)).base


def verb(words: list[str]) -> Config:
    return train_flags(words)[0]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", NAMED)
def test_verb_script_and_search_read_the_same_words_alike(preset: str, kind: str) -> None:
    flags, values = NAMED[kind]
    place = PLACES[preset]
    words = [preset, *(word for name, value in place.items() for word in spelt(name, value)), *shlex.split(flags)]
    expected = replace(PRESETS[preset](), **place, **values)  # type: ignore[arg-type]
    assert verb(words) == script(words) == search(words) == expected


@pytest.mark.parametrize(
    "field", [f.name for f in fields(Config) if f.name not in ("dataset", "root", "method", "seed")]
)
def test_every_field_is_a_flag_of_scripts_as_of_the_verb_and_its_value_is_read_back(field: str) -> None:
    cfg = replace(PRESETS["folder"](), root="photos")
    words = ["folder", *spelt("root", "photos"), *spelt(field, getattr(cfg, field))]
    assert verb(words) == script(words) == cfg


def test_preset_file_and_flags_lie_over_each_other_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "best.toml").write_text("lambda1 = 0.3\nk = 4\n")
    file = str(tmp_path / "best.toml")
    words = ["folder", "--root", "photos", "--k", "5", "--config", file]
    expected = replace(PRESETS["folder"](), root="photos", lambda1=0.3, k=5)
    assert verb(words) == script(words) == search(words) == expected
    assert verb([*words[:-2], f"--config={file}"]) == expected


def test_flags_lie_over_the_proportions_of_the_method_they_name() -> None:
    from apc.methods.registry import proportioned

    words = ["--method", "toco", "--lr", "0.5", "--num-train", "96"]
    named = replace(PRESETS["pocket"](), method="toco", lr=0.5, num_train=96)
    expected = replace(named, **proportioned(named, "toco") | {"lr": 0.5})
    assert verb(words) == script(words) == search(words) == expected
    assert expected.optimizer == "adamw"


def test_smoke_lies_under_the_flags_and_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "best.toml").write_text("epochs = 9\nk = 4\n")
    cfg = script(["--config", str(tmp_path / "best.toml"), "--smoke", "--num-val", "5"])
    assert (cfg.epochs, cfg.k, cfg.num_train, cfg.num_val, cfg.weights) == (1, 4, 64, 5, "")


OLD = {
    "--preset folder --root photos": "--preset is gone; write folder as the first word",
    "--preset=voc": "--preset is gone; write voc as the first word",
    "--preset": "--preset is gone; write the preset as the first word",
    "--set theta=0.8": "--set is gone; every field is a flag: write --theta 0.8",
    "--set=eval_every=1": "--set is gone; every field is a flag: write --eval-every 1",
    "--set thteta=0.5": "--set is gone; every field is a flag: write --theta 0.5",
    "--set decoder_blocks=1,3": "--set is gone; every field is a flag: write --decoder-blocks 1,3",
    "--set 'weights=my file'": "--set is gone; every field is a flag: write --weights 'my file'",
    "--set weights=": "--set is gone; every field is a flag: write --weights ''",
    "--set": "--set is gone; every field is a flag: write --theta 0.8",
}


@pytest.mark.parametrize("words", OLD)
@pytest.mark.parametrize("command", ["train", "search pooling", "search simple"])
def test_an_old_spelling_is_answered_with_the_new_one(
    command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused([*command.split(), *shlex.split(words)], capsys, f": {OLD[words]}\n")


@pytest.mark.parametrize("words", OLD)
def test_a_script_answers_an_old_spelling_with_the_new_one(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert experiments.main(paper_setting.EXPERIMENT, shlex.split(words)) == 2
    assert capsys.readouterr().err == f"paper_setting: {OLD[words]}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("vocc", "there is no preset 'vocc'; choose from pocket, folder, voc, coco (did you mean voc?)"),
        ("--root photos folder", "'folder' belongs to no flag; --help lists them all"),
        ("--root photos", "--root is photos, but pocket data lies in no folder; write folder as the first word"),
        ("voc", "--root is missing: voc needs the folder of its images"),
        ("--bilstm no", "bilstm is 'no'; it must be a bool"),
        ("--decoder-blocks 1 x", "decoder_blocks is (1, 'x'); it must be whole numbers, such as 3 6 9 12"),
        ("--theta nan", "theta is nan; it must be a number"),
        ("--lr", "--lr needs a value"),
        ("-x", "there is no flag -x; --help lists them all"),
    ],
)
def test_a_slip_is_the_same_sentence_of_verb_script_and_search(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["train", *words.split()], capsys, sentence)
    refused(["search", "pooling", *words.split()], capsys, sentence)
    assert experiments.main(paper_setting.EXPERIMENT, words.split()) == 2
    assert sentence in capsys.readouterr().err


def test_the_helps_of_the_verb_and_of_a_script_list_every_field_by_its_part(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["train", "--help"], ["search", "pooling", "--help-fields"]):
        with pytest.raises(SystemExit) as stop:
            apc(words)
        told = capsys.readouterr().out
        assert stop.value.code == 0
        assert all(f"  --{f.name.replace('_', '-')} " in told for f in fields(Config))
        heads = [line[:-1] for line in told.splitlines() if line.endswith(":") and not line.startswith(" ")]
        assert heads[-6:] == ["data", "model", "losses", "self-training", "training", "scoring"]


def told_by(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints, in one line."""
    with pytest.raises(SystemExit) as stop:
        apc(words)
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_the_help_of_train_begins_with_the_common_flags(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_by(["train", "--help"], capsys)
    order = [told.index(part) for part in ("the common ones:", " --epochs N", "where it is trained:", " --theta X")]
    assert order == sorted(order) and told.count(" --epochs N") == 1
    assert "the others stand below (data, model, losses, self-training, training, scoring)" in told


def test_the_help_of_search_names_every_space_with_a_line_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert apc(["search", "--help"]) == 0
    told = capsys.readouterr().out
    assert "\n  joint          All six knobs of the paper together: pooling, K, theta, epsilon" in told
    assert "\n  pooling        The four ways from patch scores to image scores (Table 7)\n" in told
    assert "\n  apc search lambdas --smoke " in told and len(told.splitlines()) < 30


def test_the_help_of_a_space_is_called_as_it_is_typed_and_says_what_is_searched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = told_by(["search", "joint", "--help"], capsys)
    assert told.startswith("usage: apc search joint [pocket|folder|voc|coco] [flags] ") and "space_joint" not in told
    for part in (
        "pooling (adaptive_k or top_k or max or average); ",
        "k (2 to 36 on a logarithmic scale, where pooling is top_k or adaptive_k);",
        "lambda1 (0.001 to 1 on a logarithmic scale); lambda2 (0 to 0.1 in steps of 0.005);",
        "epsilon (0.6 to 0.95, where lambda2 is above 0).",
    ):
        assert part in told
    assert "theta, epsilon: 16 settings" in told_by(["search", "theta_epsilon", "--help"], capsys)
    assert "lambda1, lambda2: in stages, at most 12 settings" in told_by(["search", "lambdas", "--help"], capsys)
