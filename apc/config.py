"""Every knob of the system, once: name, default, meaning, unit and source.

The search key, the flag, the TOML key, the result column and the axis of a figure are the field's name.
Defaults are the paper's (section 4.1) or, where the paper is silent, the resolution of the method
specification; a preset is a function that returns a Config, a variant is `replace(folder(), k=3)`.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

Pooling = Literal["average", "max", "top_k", "adaptive_k"]


@dataclass(frozen=True, kw_only=True)
class Config:
    # --- data -------------------------------------------------------------------------------------
    dataset: Literal["pocket", "folder", "voc", "coco"] = "pocket"
    """Data set: `pocket` is drawn from a seed, `folder` is your own photographs, `voc` and `coco` are the paper's."""
    root: str = ""
    """Folder of a data set on disk: your photographs, or the one that `apc data prepare` was given."""
    label_source: Literal["annotations", "masks"] = "annotations"
    """Image labels of voc and coco: the annotated objects, or what has a pixel in the mask (ViT-PCM)."""
    coco_images: Literal["all", "annotated", "vit_pcm"] = "annotated"
    """COCO images used: all, 82,783/40,504; with an object, 82,081/40,137; as ViT-PCM sieves them, 81,477/39,884."""
    train_list: str = "train.csv"
    """List of training images below `root`, with the columns image,labels; for voc below ROOT/apc/voc, coco alike."""
    val_list: str = "val.csv"
    """List of validation images below `root`."""
    data_seed: int = 0
    """Seed of the drawn data set (pocket only); the run's own seed is `seed`."""
    num_train: int = 0
    """Training images used, drawn with `seed`; 0 means all of them."""
    num_val: int = 0
    """Validation images used, the first ones of the list; 0 means all of them."""
    image_size: int = 384
    """Side in pixels to which training images are resized (paper, section 4.1)."""
    eval_size: int = 0
    """Side in pixels of the images that are scored; 0 means `image_size` (the paper infers at 960)."""
    flip: Literal["none", "horizontal", "both"] = "horizontal"
    """Random flips of training images."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and saturation changes; 0 is off."""

    # --- model ------------------------------------------------------------------------------------
    method: Literal["apc", "vit_pcm", "afa", "toco"] = "apc"
    """Which method is trained: the paper's, or one it is compared with in Table 6, with its published settings or, on
    small data, their proportions, under the other flags."""
    compat: Literal["fixed", "official"] = "fixed"
    """Slips of toco's and afa's official code that change training: mended, or made again: see
    apc/methods/registry.py."""
    encoder: str = "vit_base_patch16_384.orig_in21k_ft_in1k"
    """A plain ViT by its timm name, `pocket` for the tiny ViT of the embedded data, or `mit_b1`, AFA's own."""
    weights: str = ""
    """Encoder weights: a local .safetensors or .pth file, `timm`, `pocket` (embedded pre-training), or empty."""
    pos_embed: Literal["keys", "torch"] = "keys"
    """Bicubic kernel that resamples position embeddings: `keys` as ViT-PCM and timm, `torch` as ToCo."""
    bilstm: bool = True
    """HV-BiLSTM between encoder and patch classifier (paper, section 3.2; Table 8)."""
    bilstm_residual: bool = False
    """Add the encoder's output to the HV-BiLSTM's."""
    dropout: float = 0.2
    """Dropout before the HV-BiLSTM and before the patch classifier, as a share (ViT-PCM)."""
    pooling: Pooling = "adaptive_k"
    """From patch scores to image scores (paper, section 3.3; Table 7)."""
    k: int = 6
    """Patches pooled a class: exactly for top_k, at most for adaptive_k (paper, section 4.1)."""
    theta: float = 0.9
    """Adaptive-K takes another patch while the mean stays above theta times the last (Algorithm 1)."""
    decoder_blocks: tuple[int, ...] = (3, 6, 9, 12)
    """Encoder blocks the decoder reads, counted from 1; the last one is replaced by F_out."""
    decoder_width: int = 256
    """Channels of each decoder input."""
    decoder_norm: Literal["batch", "layer"] = "batch"
    """Normalisation in the decoder; `layer` where a process sees few images. `batch` takes its statistics over what all
    processes hold in memory at once, so with it a `micro_batch` changes what is learnt."""
    decoder_dropout: float = 0.1
    """Dropout before the decoder's last layer, as a share."""
    deeplab: Literal["small", "vit", "resnet50", "resnet101"] = "small"
    """Network of vit_pcm's second stage: a small one, a copy of the encoder with a DeepLab head, or torchvision's."""
    deeplab_weights: str = ""
    """ImageNet weights of resnet50 or resnet101: a local .safetensors or .pth file, or empty."""

    # --- losses -----------------------------------------------------------------------------------
    lambda1: float = 0.02
    """Weight of the segmentation loss (Eq. 7; Figure 5)."""
    lambda2: float = 0.01
    """Weight of the patch contrastive error, which is a sum over classes (Eq. 7; Figure 5)."""
    epsilon: float = 0.85
    """A patch is of high confidence above epsilon and of low confidence below 1 - epsilon (Eq. 6)."""
    background_label: Literal["one", "ignore"] = "one"
    """Image label of the background class in MCE: always present, or left out of the sum."""
    mce: Literal["log_space", "clamped"] = "log_space"
    """Form of the BCE: exact in log space, or ViT-PCM's clamp, whose gradient dies at 0."""
    pce_classes: Literal["present", "all"] = "present"
    """Classes PCE sums over: those of the image and the background, or literally all (Eq. 7)."""
    pseudo_label: Literal["argmax", "merge"] = "argmax"
    """Patch scores to pseudo labels: argmax of the image's classes, or after ViT-PCM's label merge."""
    pseudo_threshold: float = 0.0
    """Patches whose winning score lies below are ignored by the segmentation loss; 0 ignores none."""
    seg_stride: int = 1
    """The segmentation loss reads every seg_stride-th pixel; 4 saves time on small machines."""
    energy_weight: float = 0.0
    """Weight of the dense-energy loss of toco and afa: 0.05 in ToCo's official code; 0 leaves it out."""

    # --- training ---------------------------------------------------------------------------------
    seed: int = 0
    """Seed of initialisation, order, augmentation and dropout."""
    epochs: int = 15
    """Passes over the training images, the frozen ones included (paper, section 4.1)."""
    frozen_epochs: int = 2
    """First epochs, in which the encoder does not learn (ViT-PCM; the paper's first two epochs)."""
    stage2_epochs: int = 0
    """Last epochs, in which vit_pcm's DeepLab learns from pseudo masks; 0 leaves that second stage out."""
    unfreeze_blocks: int = 5
    """Last encoder blocks that learn after the frozen epochs; the encoder's depth opens everything."""
    batch_size: int = 16
    """Images a step over all processes together (paper, section 4.1)."""
    micro_batch: int = 0
    """Images a process holds in memory at once; fewer than its share adds gradients up. 0 is its whole share."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Optimiser."""
    lr_frozen: float = 1e-3
    """Learning rate of the frozen epochs (paper, section 4.1)."""
    lr: float = 1e-4
    """Learning rate after them (paper, section 4.1)."""
    beta2: float = 0.999
    """Adam's decay of the squared gradient."""
    weight_decay: float = 0.0
    """Weight decay."""
    schedule: Literal["constant", "cosine", "poly"] = "constant"
    """Course of the learning rate: `cosine` falls to 3 % at the end of the run, `poly` to 0 (AFA, ToCo)."""
    poly_power: float = 0.9
    """Exponent of the `poly` schedule: 0.9 in ToCo, 1 in AFA."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises to its value."""
    grad_clip: float = 0.0
    """Largest norm of the gradient; 0 is off."""
    amp: Literal["none", "bf16"] = "none"
    """Autocast of encoder and heads; losses and pooling stay in float32."""
    compile: bool = False
    """Train with torch.compile on the encoder's blocks: meant for a GPU and runs of hours. It takes a minute or more
    before the first step, needs a C++ compiler, and gains nothing on a CPU (benchmarks/step.py)."""
    channels_last: bool = False
    """Train with convolutions' weights in channels-last order: meant for a GPU and those of deeplab, toco and mit_b1.
    APC on a ViT has one convolution, which cuts the patches, and gains nothing."""
    deterministic: bool = True
    """Only deterministic kernels, so that a seed gives the same numbers again on one machine: to the last digit on a
    CPU; on a GPU torch warns of each operation that has no such kernel, and last digits may vary."""

    # --- scoring ----------------------------------------------------------------------------------
    eval_every: int = 0
    """Epochs between scorings on the validation set while training; 0 scores at the end only."""
    crf: Literal["none", "vit_pcm", "afa", "toco", "toco_cam", "irn", "deeplab", "pocket"] = "vit_pcm"
    """Parameters of the dense CRF in the *_crf scores; `none` leaves those scores out."""

    def __post_init__(self) -> None:
        hints = get_type_hints(Config)
        for f in fields(self):
            _check_type(f.name, getattr(self, f.name), hints[f.name])
            if hints[f.name] is float:  # 1 and 1.0 are one setting and must have one identity
                object.__setattr__(self, f.name, float(getattr(self, f.name)))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not (low <= value <= high):
                raise ValueError(f"{name} is {value}; it must lie between {low:g} and {high:g}")
        if self.frozen_epochs > self.epochs:
            both = f"{self.frozen_epochs}; it cannot exceed epochs, which is {self.epochs}"
            raise ValueError(f"frozen_epochs is {both}")
        if self.compile and self.method == "afa":
            raise ValueError("compile is True; afa listens to the attention, which compiled blocks do not tell of")
        if not self.decoder_blocks or list(self.decoder_blocks) != sorted(set(self.decoder_blocks)):
            raise ValueError(f"decoder_blocks is {self.decoder_blocks}; give rising block numbers, such as 3 6 9 12")

    @property
    def scored_size(self) -> int:
        """Side in pixels of the images that are scored."""
        return self.eval_size or self.image_size


_INF = float("inf")
_RANGES: list[tuple[str, float, float]] = [
    ("num_train", 0, _INF),
    ("num_val", 0, _INF),
    ("image_size", 16, 4096),
    ("eval_size", 0, 4096),
    ("jitter", 0, 1),
    ("dropout", 0, 0.95),
    ("decoder_dropout", 0, 0.95),
    ("k", 1, 4096),
    ("theta", 0, 1),
    ("decoder_width", 1, 4096),
    ("lambda1", 0, 1000),
    ("lambda2", 0, 1000),
    ("epsilon", 0.5, 1),
    ("pseudo_threshold", 0, 1),
    ("seg_stride", 1, 64),
    ("seed", 0, 2**31),
    ("data_seed", 0, 2**31),
    ("epochs", 1, 100000),
    ("frozen_epochs", 0, 100000),
    ("stage2_epochs", 0, 100000),
    ("unfreeze_blocks", 0, 1000),
    ("batch_size", 1, 65536),
    ("micro_batch", 0, 65536),
    ("lr_frozen", 0, 100),
    ("lr", 0, 100),
    ("beta2", 0, 0.999999),
    ("weight_decay", 0, 100),
    ("warmup_steps", 0, _INF),
    ("grad_clip", 0, _INF),
    ("eval_every", 0, 100000),
    ("poly_power", 0, 10),
    ("energy_weight", 0, 1000),
]  # epsilon < 0.5 would put one patch into both sets of Eq. 6


def _check_type(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple) or any(isinstance(v, bool) or not isinstance(v, int) for v in value):
            raise ValueError(f"{name} is {value!r}; it must be whole numbers, such as 3 6 9 12")
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            close = difflib.get_close_matches(str(value), [str(c) for c in get_args(hint)], n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"{name} is {value!r}; choose from {', '.join(map(str, get_args(hint)))}{meant}")
    elif hint is bool or hint is str:
        if not isinstance(value, hint):
            raise ValueError(f"{name} is {value!r}; it must be a {hint.__name__}")
    elif hint is int or hint is float:
        kinds = (int,) if hint is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or value != value:
            raise ValueError(f"{name} is {value!r}; it must be a {'whole ' if hint is int else ''}number")


def pocket() -> Config:
    """The embedded miniature of VOC: about a minute of one core a run.

    The paper's theta, k, epsilon and lambdas; the schedule is its own, tuned on the validation pictures of seeds 0 to
    5. The frozen epoch is needed: where all learns from the start, the background loses its patches in some seeds.
    """
    return Config(
        num_train=960,
        image_size=96,
        flip="both",
        encoder="pocket",
        weights="pocket",
        bilstm_residual=True,
        dropout=0.0,
        decoder_blocks=(1, 2, 3),
        decoder_width=48,
        decoder_norm="layer",
        decoder_dropout=0.0,
        seg_stride=4,
        epochs=10,
        frozen_epochs=1,
        unfreeze_blocks=2,
        lr_frozen=5e-3,
        lr=2e-3,
        beta2=0.98,
        schedule="cosine",
        grad_clip=1.0,
        crf="pocket",
    )


def folder() -> Config:
    """Your own photographs with DeiT-Tiny: the paper's schedule, at 256 pixels and with a slim decoder for laptops."""
    return Config(
        dataset="folder",
        image_size=256,
        encoder="deit_tiny_patch16_224",
        decoder_width=128,
        seg_stride=4,
        eval_every=2,
    )


def voc() -> Config:
    """PASCAL VOC 2012 as the paper trains it: ViT-B/16 at 384, scored at 960 (section 4.1)."""
    return Config(
        dataset="voc",
        encoder="vit_base_patch16_384.augreg_in21k_ft_in1k",
        weights="timm",
        eval_size=960,
        amp="bf16",
    )


def coco() -> Config:
    """COCO 2014 with VOC's schedule; the paper names no other."""
    return replace(voc(), dataset="coco")


PRESETS = {"pocket": pocket, "folder": folder, "voc": voc, "coco": coco}


def fields_of(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values checked against Config's field names; ValueError names `source`, the slip and the nearest field."""
    names = [f.name for f in fields(Config)]
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            meant = f"; did you mean {close[0]}?" if close else f"; the fields are {', '.join(names)}"
            raise ValueError(f"{source}: there is no field {key!r}{meant}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def from_dict(values: Mapping[str, Any], base: Config | None = None, source: str = "config") -> Config:
    """Config with `values` laid over `base` (default: every field's default)."""
    return replace(base or Config(), **fields_of(values, source))


def from_toml(path: str | Path, base: Config | None = None) -> Config:
    """Config from a TOML file of fields, such as best.toml; keys it lacks keep `base`'s values."""
    try:
        values = tomllib.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from None
    return from_dict(values, base, source=str(path))


def to_dict(cfg: Config) -> dict[str, Any]:
    """Flat dict of plain values, as written to rows and TOML."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(cfg).items()}


def without_paths(cfg: Config) -> dict[str, Any]:
    """Config as rows and training states keep it: folders and files by their last name only."""
    return to_dict(cfg) | {name: Path(getattr(cfg, name)).name for name in ("root", "weights", "deeplab_weights")}


def default_of(name: str) -> Any:
    """Default of one field."""
    (value,) = [f.default for f in fields(Config) if f.name == name]
    assert value is not MISSING
    return value
