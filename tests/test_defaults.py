"""Every default and every field of every preset, against the number of the paper, of the method specification (spec)
or of the miniature's recipe. A new field wants a line here, with its source."""

from dataclasses import fields, replace
from typing import Any

import pytest

from apc import config
from apc.config import Config, coco, folder, pocket, voc
from apc.methods import published
from apc.methods.registry import METHODS, preset

OURS = "no source but this project's"
DEFAULTS: dict[str, tuple[Any, str]] = {
    "dataset": ("pocket", OURS),
    "root": ("", OURS),
    "label_source": ("annotations", "spec 4, row 18: the objects of the XML files"),
    "coco_images": ("annotated", "spec 0.11: 82,081 and 40,137 images, as AFA and ToCo"),
    "train_list": ("train.csv", OURS),
    "val_list": ("val.csv", OURS),
    "data_seed": (0, OURS),
    "num_train": (0, "paper 4.2: all 10,582"),
    "num_val": (0, "paper 4.2: all 1,449"),
    "skip_broken": (False, OURS),
    "max_pixels": (178_956_970, "Pillow's own limit"),
    "image_size": (384, "paper 4.1: resized to 384x384"),
    "eval_size": (0, OURS),
    "flip": ("horizontal", "spec 4, row 17: left-right flips"),
    "jitter": (0.0, "spec 4, row 17; the paper is silent"),
    "crop_scale": (1.0, "spec 4, row 17: flips alone"),
    "grey": (0.0, "spec 4, row 17: flips alone"),
    "blur": (0.0, "spec 4, row 17: flips alone"),
    "method": ("apc", "paper"),
    "compat": ("fixed", "spec 0.6: the mended loss"),
    "encoder": ("vit_base_patch16_384.orig_in21k_ft_in1k", "paper 4.1: ViT-B/16; spec 4, row 16"),
    "weights": ("", OURS),
    "normalization": ("", "timm, by the encoder's tag"),
    "pos_embed": ("keys", "spec 0.9: keys for APC and ViT-PCM"),
    "bilstm": (True, "paper 3.2"),
    "bilstm_residual": (False, "spec 1.1 and 4, row 6: no residual"),
    "dropout": (0.2, "spec 1.1 and 4, row 6"),
    "pooling": ("adaptive_k", "paper 3.3"),
    "k": (6, "paper 4.1"),
    "k_share": (0.0, "paper 4.1: K is a number"),
    "theta": (0.9, "paper 4.1"),
    "decoder_blocks": ((3, 6, 9, 12), "spec 4, row 12"),
    "decoder_width": (256, "spec 4, row 12"),
    "decoder_norm": ("batch", "spec 4, row 12"),
    "decoder_dropout": (0.1, "spec 4, row 12"),
    "deeplab": ("small", OURS),
    "deeplab_weights": ("", OURS),
    "lambda1": (0.02, "paper 4.1"),
    "lambda2": (0.01, "paper 4.1"),
    "epsilon": (0.85, "paper 4.1"),
    "background_label": ("one", "spec 4, row 2"),
    "mce": ("log_space", "recipe 5: a clamp's gradient dies"),
    "pce_classes": ("present", "spec 4, row 8: gated by the image label"),
    "pseudo_label": ("argmax", "spec 4, row 11"),
    "pseudo_threshold": (0.0, "spec 4, row 11: no pixel ignored"),
    "level_low": (0.25, "CoSA's code; the paper ignores no pixel"),
    "level_high": (0.7, "CoSA's code; the paper ignores no pixel"),
    "teacher": (0.0, "the paper has none"),
    "swap": (0.0, "the paper has none"),
    "seg_loss": ("mean", "paper 3.2: a cross-entropy"),
    "seg_stride": (1, "spec 4, row 11: each pixel"),
    "energy_weight": (0.0, "spec 0.7: off by default"),
    "rounds": (0, "paper 3: none"),
    "round_epochs": (5, OURS),
    "round_lr": (1e-4, OURS),
    "round_weight": (1.0, OURS),
    "round_refine": ("crf", OURS),
    "round_scales": ((1.0,), OURS),
    "round_threshold": (0.6, OURS),
    "seed": (0, OURS),
    "epochs": (15, "paper 4.1: 15 epochs"),
    "frozen_epochs": (2, "paper 4.1: the first two epochs; spec 4, row 7"),
    "stage2_epochs": (0, "paper 4.1: no additional DeepLab"),
    "unfreeze_blocks": (5, "spec 4, row 7: the last 5 blocks"),
    "batch_size": (16, "paper 4.1"),
    "micro_batch": (0, OURS),
    "optimizer": ("adam", "paper 4.1"),
    "lr_frozen": (1e-3, "paper 4.1: 10^-3 for the first two epochs"),
    "lr": (1e-4, "paper 4.1: 10^-4 for the remaining epochs"),
    "beta2": (0.999, "Adam's own; spec 0.10"),
    "weight_decay": (0.0, "spec 1.4: none"),
    "schedule": ("constant", "paper 4.1; spec 1.4"),
    "poly_power": (0.9, "spec 3"),
    "lr_decay": (1.0, "paper 4.1: one rate"),
    "warmup_steps": (0, "paper 4.1 has none"),
    "grad_clip": (0.0, "paper 4.1 has none"),
    "amp": ("none", OURS),
    "features_dtype": ("float32", OURS),
    "compile": (False, OURS),
    "channels_last": (False, OURS),
    "deterministic": (True, OURS),
    "eval_every": (0, OURS),
    "crf": ("vit_pcm", "spec 4, row 15"),
}

Changes = dict[str, tuple[Any, str]]

POCKET: Changes = {
    "num_train": (960, "recipe 2"),
    "image_size": (96, "recipe 1"),
    "flip": ("both", "recipe 2: H/V flips"),
    "encoder": ("pocket", "recipe 2"),
    "weights": ("pocket", "recipe 2: needed at this budget"),
    "dropout": (0.0, "recipe 2 has none"),
    "decoder_blocks": ((1, 2, 3), "of the three blocks; the recipe has 1, 3 and F_out"),
    "decoder_width": (48, "recipe 2: Linear(64->48)"),
    "decoder_norm": ("layer", "recipe 2: LN"),
    "decoder_dropout": (0.0, "recipe 2 has none"),
    "seg_stride": (4, "recipe 2: loss at stride 4"),
    "epochs": (10, "recipe 2: 10-14"),
    "frozen_epochs": (1, "pocket()'s own search, seeds 0 to 5"),
    "unfreeze_blocks": (2, "pocket()'s own search"),
    "lr_frozen": (5e-3, "pocket()'s own search"),
    "lr": (2e-3, "pocket()'s own search; the recipe has 1.5e-3"),
    "beta2": (0.98, "recipe 2: betas .9/.98"),
    "schedule": ("cosine", "recipe 2: cosine to 3 %"),
    "grad_clip": (1.0, "recipe 2"),
    "crf": ("pocket", "recipe 3"),
}
FOLDER: Changes = {
    "dataset": ("folder", OURS),
    "image_size": (256, OURS),
    "encoder": ("deit_tiny_patch16_224", OURS),
    "decoder_width": (128, OURS),
    "seg_stride": (4, "recipe 2"),
    "eval_every": (2, OURS),
}
VOC: Changes = {
    "dataset": ("voc", "paper 4.1"),
    "encoder": ("vit_base_patch16_384.augreg_in21k_ft_in1k", "spec 4, row 16: the option"),
    "weights": ("timm", "spec 4, row 16"),
    "eval_size": (960, "paper 4.1 and Table 1: 960x960"),
    "amp": ("bf16", "spec 4, row 23"),
}
VIT_PCM: Changes = VOC | {
    "method": ("vit_pcm", ""),
    "encoder": ("vit_base_patch16_384.orig_in21k_ft_in1k", "spec 1.1: original-release weights"),
    "flip": ("both", "spec 1.2.2: LR and UD"),
    "jitter": (0.6, "between the contrast's and the saturation's of spec 1.4"),
    "pooling": ("max", "spec 1.1: GMP"),
    "mce": ("clamped", "spec 1.2.1"),
    "epochs": (99, "spec 1.4: 80; and 19 of DeepLab"),
    "frozen_epochs": (1, "spec 1.4: epoch 1"),
    "stage2_epochs": (19, "spec 1.5: 20k steps of 5 x 2 images of 10,582"),
    "batch_size": (64, "spec 1.4: 16 x 4"),
    "deeplab": ("resnet101", "spec 1.5"),
}
AFA: Changes = {
    "dataset": ("voc", ""),
    "method": ("afa", ""),
    "encoder": ("mit_b1", "spec 2"),
    "image_size": (512, "spec 2: 512 in the launch script"),
    "decoder_blocks": ((1, 2, 3, 4), "spec 2: each stage"),
    "epochs": (8, "spec 2: 20k steps of 4 of 10,582 images are 7.6 epochs; 80k of 8 of 82,081 are 7.8"),
    "frozen_epochs": (0, "spec 2"),
    "unfreeze_blocks": (8, "spec 2: depths 2/2/2/2, all"),
    "batch_size": (4, "spec 2: 2 x 2"),
    "optimizer": ("adamw", "spec 2"),
    "lr": (6e-5, "spec 2"),
    "weight_decay": (0.01, "spec 0.10"),
    "schedule": ("poly", "spec 2"),
    "poly_power": (1.0, "spec 2: p=1.0"),
    "warmup_steps": (1500, "spec 2"),
    "crf": ("afa", "spec 0.8"),
}
TOCO: Changes = VOC | {
    "method": ("toco", ""),
    "encoder": ("vit_base_patch16_224.orig_in21k_ft_in1k", "spec 3: ViT-B/16 224"),
    "pos_embed": ("torch", "spec 0.9 and 3: plain-torch bicubic"),
    "image_size": (448, "spec 3"),
    "eval_size": (448, "spec 3: in-training val"),
    "jitter": (0.4, "spec 3: b.4 c.4"),
    "epochs": (8, "spec 3: 20k steps of 4, on COCO 80k of 8, as AFA"),
    "frozen_epochs": (0, "spec 3"),
    "unfreeze_blocks": (12, "spec 3: the whole backbone"),
    "batch_size": (4, "spec 3: 2 x 2"),
    "optimizer": ("adamw", "spec 3"),
    "lr": (6e-5, "spec 3"),
    "weight_decay": (0.01, "spec 3"),
    "schedule": ("poly", "spec 3"),
    "poly_power": (0.9, "spec 3: p .9"),
    "warmup_steps": (1500, "spec 3"),
    "crf": ("toco", "spec 0.8"),
    "amp": ("none", "spec 3: no AMP"),
}
COCO: Changes = {"dataset": ("coco", "")}
EIGHT: Changes = COCO | {"batch_size": (8, "spec 2 and 3: 80k steps of 8")}
SECOND: Changes = {
    "method": ("vit_pcm", ""),
    "pooling": ("max", "spec 1.1"),
    "mce": ("clamped", "spec 1.2.1"),
    "frozen_epochs": (1, "spec 1.4"),
    "deeplab": ("vit", "vit_pcm_pocket's own"),
}
PEER: Changes = {
    "frozen_epochs": (0, "spec 2 and 3"),
    "unfreeze_blocks": (1000, "spec 2 and 3: everything"),
    "optimizer": ("adamw", "spec 0.10"),
    "weight_decay": (0.01, "spec 0.10"),
    "beta2": (0.999, "spec 0.10"),
    "schedule": ("poly", "spec 0.10"),
    "grad_clip": (0.0, "spec 2 and 3 have none"),
}
SMALL_AFA: Changes = PEER | {"method": ("afa", ""), "poly_power": (1.0, "spec 2")}
SMALL_TOCO: Changes = PEER | {"method": ("toco", ""), "poly_power": (0.9, "spec 3"), "pos_embed": ("torch", "spec 3")}
TEN_EPOCHS: Changes = {"lr": (5e-4, "spec 2: a tenth of 5e-3"), "warmup_steps": (45, "1,500 of 20,000, of 600")}
FIFTEEN: Changes = {"lr": (1e-4, "spec 2: a tenth of 1e-3"), "warmup_steps": (90, "1,500 of 20,000, of 1,200")}

photographs = replace(folder(), num_train=1280)  # 80 steps an epoch
COUNTED: Changes = FOLDER | {"num_train": (1280, "the test's own")}
STAGES: Changes = {"epochs": (30, "10 and 20"), "stage2_epochs": (20, "vit_pcm_pocket's own")}
SIX_MORE: Changes = {"epochs": (21, "15 and 6"), "stage2_epochs": (6, "vit_pcm_pocket's own; 19/80 would be 4")}
PRESETS: dict[str, tuple[Config, Changes]] = {
    "pocket": (pocket(), POCKET),
    "folder": (folder(), FOLDER),
    "voc": (voc(), VOC),
    "coco": (coco(), VOC | COCO),
    "vit_pcm on voc": (published.vit_pcm("voc"), VIT_PCM),
    "vit_pcm on coco": (
        published.vit_pcm("coco"),
        VIT_PCM | COCO | {"coco_images": ("vit_pcm", "spec 0.11: 81,477 and 39,884")},
    ),
    "afa on voc": (published.afa("voc"), AFA),
    "afa on coco": (published.afa("coco"), AFA | EIGHT),
    "toco on voc": (published.toco("voc"), TOCO),
    "toco on coco": (published.toco("coco"), TOCO | EIGHT),
    "vit_pcm on pocket": (preset("pocket", replace(pocket(), method="vit_pcm")), POCKET | SECOND | STAGES),
    "afa on pocket": (preset("pocket", replace(pocket(), method="afa")), POCKET | SMALL_AFA | TEN_EPOCHS),
    "toco on pocket": (preset("pocket", replace(pocket(), method="toco")), POCKET | SMALL_TOCO | TEN_EPOCHS),
    "vit_pcm on folder": (preset("folder", replace(photographs, method="vit_pcm")), COUNTED | SECOND | SIX_MORE),
    "afa on folder": (preset("folder", replace(photographs, method="afa")), COUNTED | SMALL_AFA | FIFTEEN),
    "toco on folder": (preset("folder", replace(photographs, method="toco")), COUNTED | SMALL_TOCO | FIFTEEN),
}


def values(cfg: Config) -> dict[str, Any]:
    return {f.name: getattr(cfg, f.name) for f in fields(cfg)}


def numbers(changes: Changes) -> dict[str, Any]:
    return {name: value for name, (value, _) in changes.items()}


def test_every_default_is_the_papers_or_the_specifications() -> None:
    assert values(Config()) == numbers(DEFAULTS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_field_of_a_preset_is_the_default_or_has_a_source_of_its_own(name: str) -> None:
    cfg, changes = PRESETS[name]
    assert values(cfg) == numbers(DEFAULTS | changes)


def test_every_preset_of_every_method_has_its_table() -> None:
    named = {name if method == "apc" else f"{method} on {name}" for name in config.PRESETS for method in METHODS}
    assert set(PRESETS) == named
