"""Bad checkpoints, devices and outputs for eval, predict, export and train; Ctrl-C and full disks. One sentence, and
nothing half-written."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusal import flags, left_below, refused, small_files
from safetensors.torch import load_file, save_file
from spoilt import FOLDER

from apc.cli.main import main
from apc.config import folder
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.runs.folder import save_run
from apc.runs.rows import Row

VERBS = ("eval", "predict", "export")
CLASSES = ["background", "red", "blue"]


@pytest.mark.parametrize("verb", ["eval", "predict"])
def test_weights_that_are_numbers_and_make_none(verb: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = load_file(run / "model.safetensors")
    save_file({name: 1e37 * t if "decoder" in name else t for name, t in state.items()}, run / "model.safetensors")
    refused(words(verb, run), capsys, "the model's probabilities are no numbers (NaN)", "train it again")
    assert [path.name for path in (run.parent.parent / "out").rglob("*.png")] == []


@pytest.fixture
def run(photographs: Path) -> Path:
    """A finished run of an untrained model, in a folder of its own."""
    where = photographs.parent / "runs" / "abc"
    cfg = replace(
        folder(),
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        decoder_width=16,
        crf="none",
    )
    torch.manual_seed(0)
    save_model(where, build(cfg, len(CLASSES)), cfg, CLASSES)
    save_run(where.parent, Row(run=where.name, config=vars(cfg), metrics={}, seconds={}, classes=CLASSES))
    return where


def words(verb: str, run: Path, out: Path | None = None) -> list[str]:
    """`verb` on a run; its output is the .json file of eval, and the folder of the others."""
    out = out or run.parent.parent / "out"
    if verb == "eval":
        return ["eval", str(run), "--out", f"{out}/scores.json", "--crf-workers", "0", "--device", "cpu"]
    images = [str(run.parent.parent / "photos")] if verb == "predict" else []
    return [verb, str(run), *images, "--out", str(out), *(["--device", "cpu"] if images else [])]


def _edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def spoil(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return spoil


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes()))


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "another architecture": (
        _edit("config.toml", "decoder_width = 16", "decoder_width = 8"),
        ["model.safetensors", "not of the architecture in config.toml", "decoder."],
    ),
    "another encoder": (
        _edit("config.toml", 'encoder = "pocket"', 'encoder = "deit_tiny_patch16_224"'),
        ["model.safetensors", "not of the architecture in config.toml"],
    ),
    "an encoder that there is not": (
        _edit("config.toml", 'encoder = "pocket"', 'encoder = "resnet50"'),
        ["config.toml", "encoder is 'resnet50'"],
    ),
    "another number of classes": (
        _edit("classes.txt", "blue\n", "blue\ngreen\n"),
        ["model.safetensors", "the 4 classes of classes.txt", "is (3, 64), not (4, 64)"],
    ),
    "no class": (_bytes("classes.txt", lambda b: b""), ["classes.txt", "names 0 classes"]),
    "classes that are no text": (_bytes("classes.txt", lambda b: b"\xff\xfe\x00"), ["classes.txt", "UTF-8"]),
    "no classes.txt": (lambda r: (r / "classes.txt").unlink(), ["classes.txt is missing"]),
    "weights that are cut": (
        _bytes("model.safetensors", lambda b: b[: len(b) // 2]),
        ["model.safetensors", "cannot be read"],
    ),
    "weights that are none": (_bytes("model.safetensors", lambda b: b"weights"), ["model.safetensors", "be read"]),
    "weights of something else": (
        lambda r: save_file({"a": torch.zeros(3)}, r / "model.safetensors"),
        ["model.safetensors", "architecture"],
    ),
    "weights that are not finite": (
        lambda r: save_file(
            {name: tensor * torch.nan for name, tensor in load_file(r / "model.safetensors").items()},
            r / "model.safetensors",
        ),
        ["model.safetensors", "not finite (NaN or infinity)", "train it again"],
    ),
    "weights that are whole numbers": (
        lambda r: save_file(
            {name: tensor.to(torch.int64) for name, tensor in load_file(r / "model.safetensors").items()},
            r / "model.safetensors",
        ),
        ["model.safetensors", "is torch.int64, not torch.float32"],
    ),
    "classes without background": (
        _edit("classes.txt", "background", "ground"),
        ["classes.txt: must name background first"],
    ),
    "no weights": (lambda r: (r / "model.safetensors").unlink(), ["model.safetensors is missing"]),
    "a field that there is not": (_edit("config.toml", "lambda1", "lamda1"), ["config.toml", "'lamda1'", "lambda1?"]),
    "a value out of its range": (_edit("config.toml", "theta = 0.9", "theta = 9.0"), ["config.toml", "theta is 9.0"]),
    "blocks that the encoder lacks": (
        _edit("config.toml", "decoder_blocks = [\n    1,\n    3,\n]", "decoder_blocks = [1, 9]"),
        ["config.toml", "decoder_blocks", "1 to 3"],
    ),
    "a config that is no TOML": (_bytes("config.toml", lambda b: b[:-9]), ["config.toml", "not a TOML file"]),
    "a config that is no text": (_bytes("config.toml", lambda b: b"\xff" + b), ["config.toml", "not a TOML file"]),
    "no config": (lambda r: (r / "config.toml").unlink(), ["config.toml is missing"]),
}


def test_export_tells_a_damaged_row_from_none(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "row.json").write_text("[")
    with pytest.warns(UserWarning, match=r"row\.json is damaged and ignored"):
        refused(words("export", run), capsys, "its row.json is damaged, so its scores are not known")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints(run: Path, capsys: pytest.CaptureFixture[str], name: str, verb: str) -> None:
    spoil, told = CHECKPOINTS[name]
    spoil(run)
    before = left_below(run.parent.parent)
    refused(words(verb, run), capsys, str(run), *told)
    assert left_below(run.parent.parent) == before


PHOTOGRAPHS = [
    "a truncated JPEG",
    "a broken JPEG",
    "a JPEG that announces gigabytes",
    "a mask that announces gigabytes",
    "a mask of another size",
    "a mask with unknown indices",
    "a mask that is cut",
]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_eval_of_broken_photographs(
    run: Path, photographs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    spoil, told = FOLDER[name]
    listed = "image,labels\n" + "".join(f"photo {number}.png,red\n" for number in (8, 9, 3))
    (photographs / "val.csv").write_text(listed)  # the spoilt one is not the first
    spoil(photographs)
    before = left_below(photographs.parent)
    refused(words("eval", run), capsys, *told)
    assert left_below(photographs.parent) == before


def test_classes_need_no_line_end_behind_the_last(run: Path) -> None:
    _bytes("classes.txt", lambda b: b.rstrip())(run)
    assert main(words("export", run)) == 0


@pytest.mark.parametrize("verb", ["eval", "predict", "train"])
@pytest.mark.parametrize("device", ["cuda", "cuda:7", "gpu", "cpu:1", ""])
def test_devices(
    run: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    device: str,
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    given = flags(photographs) if verb == "train" else words(verb, run)
    before = left_below(photographs.parent)
    refused([*given, "--device", device], capsys, f"device is {device!r}", "choose from auto, cpu")
    assert left_below(photographs.parent) == before


def test_one_gpu_is_cuda_and_cuda_0_and_no_other(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    refused([*words("predict", run), "--device", "cuda:1"], capsys, "'cuda:1'", "choose from auto, cpu, cuda:0")


@pytest.mark.parametrize("verb", [*VERBS, "train"])
@pytest.mark.parametrize("below", ["", "below", "below/it"])
def test_outputs_that_cannot_be_written(
    run: Path, photographs: Path, capsys: pytest.CaptureFixture[str], verb: str, below: str
) -> None:
    file = photographs.parent / "file"
    file.write_text("mine")
    before = left_below(photographs.parent)
    given = [*flags(photographs), "--runs", str(file / below)] if verb == "train" else words(verb, run, file / below)
    refused(given, capsys, str(file))
    assert left_below(photographs.parent) == before and file.read_text() == "mine"


WHOLE = {"predict": {"prediction.json", "summary.csv", "photo 0.jpg"}, "train": {".lock"}}
"""Files that a stopped command may leave, all of them whole: the same command goes on from them."""

FULL = {
    "eval": (300, "scores", "nothing was written"),
    "predict": (2000, "out/overlays/photo 0.jpg", "the same command goes on"),
    "export": (2000, "model.safetensors", "nothing was written"),
    "train": (2000, "last.pt", "the same command goes on"),
}


@pytest.mark.parametrize("verb", FULL)
def test_a_disk_that_fills_up(run: Path, photographs: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    most, file, told = FULL[verb]
    given = flags(photographs) if verb == "train" else words(verb, run)
    before = left_below(photographs.parent)
    with small_files(most):
        refused(given, capsys, file, "File too large", told)
    assert {p.name for p in left_below(photographs.parent)} - {p.name for p in before} <= WHOLE.get(verb, set())
    assert main(given) == 0


@pytest.mark.parametrize(
    ("verb", "where", "told"),
    [
        ("train", "apc.training.step.Step.gradients", "lower --micro-batch"),
        ("eval", "apc.evaluation.forward.Network.forward", "lower --sizes"),
        ("predict", "apc.prediction.segment.Segmenter.begin", "lower --eval-size"),
    ],
)
def test_a_gpu_that_is_too_small(
    run: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    where: str,
    told: str,
) -> None:
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has 0 bytes")

    def full(*more: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(where, full)
    given = flags(photographs) if verb == "train" else words(verb, run)
    before = left_below(photographs.parent)
    refused(given, capsys, "the GPU's memory is too small", told)
    assert {p.name for p in left_below(photographs.parent)} - {p.name for p in before} <= WHOLE.get(verb, set())
    error = RuntimeError("a slip of our own")
    with pytest.raises(RuntimeError, match="a slip of our own"):
        main(given)


STOPPED = {
    "eval": ("apc.evaluation.miou.confusion", "nothing was written"),
    "predict": ("apc.prediction.pictures.heat_maps", "the same command goes on"),
    "export": ("apc.reporting.model_card.model_card", "nothing was written"),
    "train": ("apc.training.loop.miou", "the same command goes on"),
}


@pytest.mark.parametrize("how", [KeyboardInterrupt(), PermissionError(errno.EACCES, "Permission denied", "some file")])
@pytest.mark.parametrize("verb", STOPPED)
def test_ctrl_c_and_permissions_end_in_one_sentence(
    run: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    how: BaseException,
) -> None:
    where, told = STOPPED[verb]

    def stop(*more: object, **options: object) -> None:
        raise how

    monkeypatch.setattr(where, stop)
    given = [*flags(photographs), "--epochs", "2", "--eval-every", "1"] if verb == "train" else words(verb, run)
    before = left_below(photographs.parent)
    assert main(given) == (130 if isinstance(how, KeyboardInterrupt) else 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(("stopped; ", "apc: some file: Permission denied; "))
    assert told in said
    assert {p.name for p in left_below(photographs.parent)} - {p.name for p in before} <= WHOLE.get(verb, set())
    monkeypatch.undo()
    assert main(given) == 0
