"""The published settings of the methods of Table 6, and their proportions on small data.

A function named after a method gives its setting on VOC or COCO; NAME_pocket gives the fields that turn a setting of
the embedded data, or of your own photographs, into the method's.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from apc.config import Config, voc
from apc.methods.afa import HEADS as AFA_HEADS
from apc.methods.toco import HEADS as TOCO_HEADS


def vit_pcm(dataset: str = "voc") -> Config:
    """The published settings (method-spec 1.4 and 1.5) on VOC, 80 epochs, then a DeepLab for 19, which see as many
    images as deeplab-pytorch's 20,000 steps of 10; or the same on COCO's images as ViT-PCM sieves them.
    `deeplab_weights` is yours to name, for `require_weights` refuses the command line without."""
    cfg = replace(
        voc(),
        method="vit_pcm",
        encoder="vit_base_patch16_384.orig_in21k_ft_in1k",
        flip="both",
        jitter=0.6,
        pooling="max",
        mce="clamped",
        epochs=99,
        frozen_epochs=1,
        stage2_epochs=19,
        batch_size=64,
        deeplab="resnet101",
    )
    return cfg if dataset == "voc" else replace(cfg, dataset="coco", coco_images="vit_pcm")


def vit_pcm_pocket(base: Config) -> dict[str, Any]:
    """What turns `base`, a setting of the embedded or a folder data set, into ViT-PCM: its first stage takes as many
    epochs as `base` has, one of them frozen, and the DeepLab six on top where `base` has as many, which is more than
    the published quarter (19 to 80). The miniature's DeepLab takes twice as many as the first stage: after six it
    stands at 26.5, after ten at 29.5, after twenty at 30.6 (three seeds)."""
    few = max(round(base.epochs * 19 / 80), min(base.epochs, 6))
    second = 2 * base.epochs if base.dataset == "pocket" else few
    return {
        "method": "vit_pcm",
        "pooling": "max",
        "mce": "clamped",
        "epochs": base.epochs + second,
        "frozen_epochs": min(base.frozen_epochs, 1),
        "stage2_epochs": second,
        "deeplab": "vit",
    }


def afa(dataset: str = "voc") -> Config:
    """The published settings on VOC, 20,000 iterations of 4 crops, or on COCO, 80,000 of 8, in whole epochs.

    `weights` names the file of MiT-B1, which the user has; see mit.py. Ours differs in how images come to their size:
    squashed to 512 pixels and mirrored, not scaled at random and cropped.
    """
    cfg = Config(
        dataset="voc",
        method="afa",
        encoder="mit_b1",
        image_size=512,
        decoder_blocks=(1, 2, 3, 4),
        epochs=8,
        frozen_epochs=0,
        unfreeze_blocks=8,
        batch_size=4,
        optimizer="adamw",
        lr=6e-5,
        weight_decay=0.01,
        schedule="poly",
        poly_power=1.0,
        warmup_steps=1500,
        crf="afa",
    )
    return cfg if dataset == "voc" else replace(cfg, dataset="coco", batch_size=8)


def afa_pocket(base: Config, num_train: int = 0) -> dict[str, Any]:
    """Fields that turn APC's settings on small data into AFA's in the published proportions: optimiser and schedule,
    warm-up as a share of the training, nothing frozen. Data, encoder, batch and epochs stay, and so does the learning
    rate of new layers; the encoder's is a tenth of it, as published.

    `num_train` is the size of the training split where `base` does not name one. On the embedded data the classifier
    alone was best with 2e-3 for the encoder, of 2e-4 to 4e-3 (one seed, 4 epochs, validation pictures), but the whole
    method then called everything background.
    """
    steps = base.epochs * max((base.num_train or num_train) // base.batch_size, 1)
    return {
        "method": "afa",
        "frozen_epochs": 0,
        "unfreeze_blocks": 1000,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "lr": base.lr_frozen / AFA_HEADS,
        "beta2": 0.999,
        "schedule": "poly",
        "poly_power": 1.0,
        "warmup_steps": round(steps * 1_500 / 20_000),
        "grad_clip": 0.0,
    }


def toco(dataset: str = "voc") -> Config:
    """The published settings on VOC, 20,000 iterations of 4 crops, or on COCO, 80,000 of 8, in whole epochs."""
    cfg = replace(
        voc(),
        method="toco",
        encoder="vit_base_patch16_224.orig_in21k_ft_in1k",
        pos_embed="torch",
        image_size=448,
        eval_size=448,
        jitter=0.4,
        epochs=8,
        frozen_epochs=0,
        unfreeze_blocks=12,
        batch_size=4,
        optimizer="adamw",
        lr=6e-5,
        weight_decay=0.01,
        schedule="poly",
        poly_power=0.9,
        warmup_steps=1500,
        crf="toco",
        amp="none",
    )
    return cfg if dataset == "voc" else replace(cfg, dataset="coco", batch_size=8)


def toco_pocket(base: Config, num_train: int = 0) -> dict[str, Any]:
    """Fields that turn APC's settings on small data into ToCo's, in the published proportions: its optimiser and
    schedule, its warm-up as a share of the training, nothing frozen. Data, encoder, batch and epochs stay, and so does
    the learning rate of new layers; the encoder's is a tenth of it, as published.

    `num_train` is the size of the training split where `base` does not name one.
    """
    steps = base.epochs * max((base.num_train or num_train) // base.batch_size, 1)
    return {
        "method": "toco",
        "pos_embed": "torch",
        "frozen_epochs": 0,
        "unfreeze_blocks": 1000,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "lr": base.lr_frozen / TOCO_HEADS,
        "beta2": 0.999,
        "schedule": "poly",
        "poly_power": 0.9,
        "warmup_steps": round(steps * 1_500 / 20_000),
        "grad_clip": 0.0,
    }


PUBLISHED: dict[str, Callable[[str], Config]] = {"vit_pcm": vit_pcm, "afa": afa, "toco": toco}
"""Published setting of the methods of Table 6 on voc or coco."""
PROPORTIONS: dict[str, Callable[[Config], dict[str, Any]]] = {
    "vit_pcm": vit_pcm_pocket,
    "afa": afa_pocket,
    "toco": toco_pocket,
}
"""Fields that turn a setting of small data into theirs."""


def require_weights(cfg: Config, unnamed: Collection[str]) -> None:
    """ValueError where a published setting would start from random numbers though nobody said so: of the fields
    `unnamed` neither a flag nor a file tells."""
    instead = "or leave it empty (--{flag}=) to start from random numbers"
    if "weights" in unnamed and not cfg.weights:
        file = "SegFormer's mit_b1.pth" if cfg.encoder == "mit_b1" else "timm, or a local file"
        raise ValueError(
            f"weights is empty; method {cfg.method} starts from ImageNet's: give --weights ({file}), "
            + instead.format(flag="weights")
        )
    if "deeplab_weights" in unnamed and cfg.deeplab in TORCHVISION and not cfg.deeplab_weights:
        raise ValueError(
            f"deeplab_weights is empty; the DeepLab of {cfg.method} starts from ImageNet's: give --deeplab-weights "
            f"(torchvision's {TORCHVISION[cfg.deeplab]}), " + instead.format(flag="deeplab-weights")
        )


TORCHVISION = {"resnet50": "resnet50-0676ba61.pth", "resnet101": "resnet101-63fe2227.pth"}
"""Files of ImageNet weights of a DeepLab's backbone, as torchvision calls them."""
