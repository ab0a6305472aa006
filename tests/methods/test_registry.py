"""Which setting `apc train` starts from for each method, and that flags and files lie over it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusal import refused
from torch.nn import functional as F

import apc.training.run
from apc.cli.main import main
from apc.config import Config, folder, pocket, voc
from apc.methods import registry
from apc.methods.base import LOGITS
from apc.methods.published import afa, toco, vit_pcm


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The settings that `apc train` would train."""
    heard: list[Config] = []

    def run(cfg: Config, **_: object) -> None:
        heard.append(cfg)
        raise ValueError("not here")

    monkeypatch.setattr(apc.training.run, "run", run)
    monkeypatch.setattr("apc.models.weights.fingerprint", lambda cfg: "")  # no network is asked for weights
    return heard


def train(asked: list[Config], preset: str, *words: str) -> Config:
    """The setting that a command line comes to; VOC and COCO lie below DATA, which is then forgotten."""
    below = ["--root", "DATA"] if preset in ("voc", "coco") else []
    assert main(["train", preset, *below, *words, "--device", "cpu"]) == 2
    return replace(asked[-1], root="") if below else asked[-1]


@pytest.mark.parametrize("method", ["vit_pcm", "afa", "toco"])
def test_voc_and_coco_start_from_the_published_setting_of_the_method(asked: list[Config], method: str) -> None:
    published = registry.PUBLISHED[method]
    random = {"vit_pcm": ["--deeplab-weights="], "afa": ["--weights="]}.get(method, [])
    assert train(asked, "voc", "--method", method, *random) == published("voc") != replace(voc(), method=method)
    assert train(asked, "coco", f"--method={method}", *random) == published("coco")
    assert published("coco").dataset == "coco" and published("voc").dataset == "voc"


def test_a_published_setting_without_its_weights_is_refused_and_the_file_is_named(
    asked: list[Config], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    afa_on_coco = ["train", "coco", "--root", "DATA", "--method", "afa"]
    refused(afa_on_coco, capsys, "give --weights (SegFormer's mit_b1.pth), or", "--weights=")
    refused([*afa_on_coco, "--encoder", "deit_tiny_patch16_224"], capsys, "give --weights (timm, or a local file)")
    pcm_on_voc = ["train", "voc", "--root", "DATA", "--method", "vit_pcm"]
    refused(pcm_on_voc, capsys, "give --deeplab-weights (torchvision's resnet101-63fe2227.pth)")
    assert not asked
    assert train(asked, "voc", "--method", "afa", "--weights", "mit.pth").weights == "mit.pth"
    assert train(asked, "voc", "--method", "vit_pcm", "--deeplab", "vit").weights == "timm"  # a copy of the encoder


def test_published_settings_are_their_own() -> None:
    assert {(c.image_size, c.optimizer, c.batch_size, c.frozen_epochs) for c in (vit_pcm(), afa(), toco())} == {
        (384, "adam", 64, 1),
        (512, "adamw", 4, 0),
        (448, "adamw", 4, 0),
    }
    assert vit_pcm("coco") == replace(vit_pcm(), dataset="coco", coco_images="vit_pcm")
    assert {toco("coco").coco_images, afa("coco").coco_images} == {"annotated"}


@pytest.mark.parametrize("method", ["apc", "vit_pcm", "afa", "toco"])
def test_the_decoders_probabilities_are_those_of_its_logits_which_come_where_they_are_wanted(
    tiny: Config, method: str
) -> None:
    torch.manual_seed(0)
    proportions = {} if method == "apc" else registry.proportioned(tiny, method)
    model = registry.build(replace(tiny, **proportions), 5).eval()
    images = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        found, plain = model.predict(images, wanted=["decoder", LOGITS]), model.predict(images, wanted=["decoder"])
    assert LOGITS not in plain and torch.equal(found["decoder"], plain["decoder"])
    assert found[LOGITS].shape == (2, 5, 6, 8)
    at_size = F.interpolate(found[LOGITS], size=(48, 64), mode="bilinear", align_corners=False)
    if method == "vit_pcm":  # as long as no DeepLab has learnt, its patches' probabilities are what is made larger
        at_size = F.interpolate(found[LOGITS].exp(), size=(48, 64), mode="bilinear", align_corners=False).log()
    torch.testing.assert_close(found["decoder"], at_size.softmax(1))


def test_the_papers_method_starts_from_the_preset_itself(asked: list[Config]) -> None:
    assert train(asked, "voc") == voc() and train(asked, "pocket", "--method", "apc") == pocket()


def test_embedded_data_start_from_the_methods_proportions(asked: list[Config]) -> None:
    cfg = train(asked, "pocket", "--method", "toco")
    assert (cfg.optimizer, cfg.schedule, cfg.frozen_epochs, cfg.lr) == ("adamw", "poly", 0, pocket().lr_frozen / 10)
    assert (cfg.image_size, cfg.epochs, cfg.batch_size) == (96, 10, 16)
    assert cfg.warmup_steps == 45  # 7.5 % of 10 epochs of 60 steps
    assert train(asked, "pocket", "--method", "afa").poly_power == 1.0 != cfg.poly_power
    assert train(asked, "pocket", "--method", "vit_pcm").stage2_epochs == 20


def test_a_warm_up_is_a_share_of_the_training_that_the_flags_name(asked: list[Config], photographs: Path) -> None:
    words = ["folder", "--root", str(photographs), "--method", "toco", "--batch-size", "2", "--epochs", "20"]
    cfg = train(asked, *words)
    assert cfg.warmup_steps == 6 and cfg.num_train == 0  # 7.5 % of 20 epochs of the 8 images of train.csv
    assert (cfg.image_size, cfg.lr) == (folder().image_size, folder().lr_frozen / 10)
    assert train(asked, *words, "--lr-frozen", "0.02").lr == 0.002


def test_flags_and_files_win_over_the_methods_setting(asked: list[Config], tmp_path: Path) -> None:
    cfg = train(asked, "voc", "--method", "toco", "--image-size", "384", "--optimizer", "adam", "--lr", "0.001")
    assert cfg == replace(toco(), image_size=384, optimizer="adam", lr=0.001)
    (tmp_path / "a.toml").write_text('method = "afa"\nweights = ""\nimage_size = 320\nlr = 0.01\n')
    cfg = train(asked, "voc", "--config", str(tmp_path / "a.toml"), "--lr", "0.02")
    assert cfg == replace(afa(), image_size=320, lr=0.02)
    cfg = train(asked, "pocket", "--method", "afa", "--warmup-steps", "3", "--frozen-epochs", "1", "--grad-clip", "2")
    assert (cfg.warmup_steps, cfg.frozen_epochs, cfg.grad_clip) == (3, 1, 2.0)


def test_help_names_the_methods_and_a_slip_is_answered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--method {apc,vit_pcm,afa,toco}" in capsys.readouterr().out
    refused(["train", "voc", "--method", "tocco"], capsys, "method is 'tocco'; choose from apc, vit_pcm, afa, toco")
    absent = str(tmp_path / "absent")
    refused(["train", "folder", "--root", absent, "--method", "afa"], capsys, absent, "no such folder")
    words = ["train", "--runs", str(tmp_path), "--num-train", "16", "--num-val", "4", "--weights", ""]
    refused([*words, "--compat", "official"], capsys, "compat is official", "for method apc must be fixed")
