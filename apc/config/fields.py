"""Every knob of the system, once: name, default, bounds, meaning, unit and source.

The search key, the flag, the TOML key, the result column and the axis of a figure are the field's name.
Defaults are the paper's (section 4.1) or, where the paper is silent, the resolution of the method
specification; a preset (presets.py) is a function that returns a Config, a variant is `replace(folder(), k=3)`.
"""

import functools
import re
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, get_origin, get_type_hints

from apc.config.checks import check_type, normalization_of
from apc.escaping import short

Pooling = Literal["average", "max", "top_k", "adaptive_k"]
PATHS = ("root", "weights", "deeplab_weights")
"""Fields that name a folder or a file; a run's identity holds the fingerprints of their contents instead."""
MOST = 10**9
"""Of what is counted: more than anybody has."""


class Between(NamedTuple):
    """Smallest and largest value a field may have, both included."""

    low: float
    high: float


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
    data_seed: Annotated[int, Between(0, 2**31)] = 0
    """Seed of the drawn data set (pocket only); the run's own seed is `seed`."""
    num_train: Annotated[int, Between(0, MOST)] = 0
    """Training images used, drawn with `seed`; 0 means all of them."""
    num_val: Annotated[int, Between(0, MOST)] = 0
    """Validation images used, the first ones of the list; 0 means all of them."""
    skip_broken: bool = False
    """Leave out photographs of your own that cannot be decoded, and list them, instead of stopping at the first one."""
    max_pixels: Annotated[int, Between(1, 10**12)] = 178_956_970
    """Pixels a photograph or mask may have; larger ones are refused by their header, before any memory is taken."""
    image_size: Annotated[int, Between(16, 4096)] = 384
    """Side in pixels to which training images are resized (paper, section 4.1)."""
    eval_size: Annotated[int, Between(0, 4096)] = 0
    """Side in pixels of the images that are scored, and of those of which vit_pcm makes its pseudo masks; 0 means
    `image_size` (the paper infers at 960)."""
    flip: Literal["none", "horizontal", "both"] = "horizontal"
    """Random flips of training images."""
    jitter: Annotated[float, Between(0, 1)] = 0.0
    """Strength of random brightness, contrast and saturation changes; 0 is off, but for the views of vit_pcm (0.6) and
    toco (0.4)."""
    crop_scale: Annotated[float, Between(0.01, 1)] = 1.0
    """Least share of a training image's area that a random crop keeps, which is resized to the whole; 1 is off."""
    grey: Annotated[float, Between(0, 1)] = 0.0
    """Probability that a training image loses its colours (CoSA: 0.2)."""
    blur: Annotated[float, Between(0, 1)] = 0.0
    """Probability that a training image is blurred, by up to 2 pixels in 224 (CoSA)."""

    # --- model ------------------------------------------------------------------------------------
    method: Literal["apc", "vit_pcm", "afa", "toco"] = "apc"
    """Which method is trained: the paper's, or one it is compared with in Table 6, with its published settings or, on
    small data, their proportions, under the other flags."""
    compat: Literal["fixed", "official"] = "fixed"
    """Slips of toco's and afa's official code that change training: mended, or made again: see
    docs/reference/methods.md."""
    encoder: str = "vit_base_patch16_384.orig_in21k_ft_in1k"
    """A plain ViT by its timm name, `pocket` for the tiny ViT of the embedded data, or `mit_b1`, AFA's own."""
    weights: str = ""
    """Encoder weights: a local .safetensors or .pth file, `timm`, `pocket` (embedded pre-training), or empty."""
    normalization: str = ""
    """Mean and standard deviation that pixels in [0,1] are normalised with: imagenet, inception (0.5 throughout), clip,
    or six numbers, as local weights may need; empty takes those of the encoder's tag in timm."""
    pos_embed: Literal["keys", "torch"] = "keys"
    """Bicubic kernel that resamples position embeddings: `keys` as ViT-PCM and timm, `torch` as ToCo."""
    bilstm: bool = True
    """HV-BiLSTM between encoder and patch classifier (paper, section 3.2; Table 8)."""
    bilstm_residual: bool = False
    """Add the encoder's output to the HV-BiLSTM's."""
    dropout: Annotated[float, Between(0, 0.95)] = 0.2
    """Dropout before the HV-BiLSTM and before the patch classifier, as a share (ViT-PCM)."""
    pooling: Pooling = "adaptive_k"
    """From patch scores to image scores (paper, section 3.3; Table 7)."""
    k: Annotated[int, Between(1, 4096)] = 6
    """Patches pooled a class: exactly for top_k, at most for adaptive_k (paper, section 4.1)."""
    k_share: Annotated[float, Between(0, 1)] = 0.0
    """The same as a share of an image's patches, rounded, at least one: above 0 it counts and `k` does not."""
    theta: Annotated[float, Between(0, 1)] = 0.9
    """Adaptive-K takes another patch while the mean stays above theta times the last (Algorithm 1)."""
    decoder_blocks: tuple[int, ...] = (3, 6, 9, 12)
    """Encoder blocks the decoder reads, counted from 1; the last one is replaced by F_out."""
    decoder_width: Annotated[int, Between(1, 4096)] = 256
    """Channels of each decoder input."""
    decoder_norm: Literal["batch", "layer"] = "batch"
    """Normalisation in the decoder; `layer` where a process sees few images. `batch` takes its statistics over what all
    processes hold in memory at once, so with it a `micro_batch` changes what is learnt."""
    decoder_dropout: Annotated[float, Between(0, 0.95)] = 0.1
    """Dropout before the decoder's last layer, as a share."""
    deeplab: Literal["small", "vit", "resnet50", "resnet101"] = "small"
    """Network of vit_pcm's second stage: a small one, a copy of the encoder with a DeepLab head, or torchvision's."""
    deeplab_weights: str = ""
    """ImageNet weights of resnet50 or resnet101: a local .safetensors or .pth file, or empty."""

    # --- losses -----------------------------------------------------------------------------------
    lambda1: Annotated[float, Between(0, 1000)] = 0.02
    """Weight of the segmentation loss (Eq. 7; Figure 5)."""
    lambda2: Annotated[float, Between(0, 1000)] = 0.01
    """Weight of the patch contrastive error, which is a sum over classes (Eq. 7; Figure 5)."""
    epsilon: Annotated[float, Between(0.5, 1)] = 0.85  # below 0.5 one patch would be in both sets of Eq. 6
    """A patch is of high confidence above epsilon and of low confidence below 1 - epsilon (Eq. 6)."""
    background_label: Literal["one", "ignore"] = "one"
    """Image label of the background class in MCE: always present, or left out of the sum."""
    mce: Literal["log_space", "clamped"] = "log_space"
    """Form of the BCE: exact in log space, or ViT-PCM's clamp, whose gradient dies at 0."""
    pce_classes: Literal["present", "all"] = "present"
    """Classes PCE sums over: those of the image and the background, or literally all (Eq. 7)."""
    pseudo_label: Literal["argmax", "merge", "levels"] = "argmax"
    """Patch scores to pseudo labels: argmax of the image's classes, or after ViT-PCM's label merge; `levels` brings
    each class's map to [0,1] and leaves out what lies between `level_low` and `level_high` (CoSA)."""
    pseudo_threshold: Annotated[float, Between(0, 1)] = 0.0
    """Patches whose winning score lies below are ignored by the segmentation loss; 0 ignores none."""
    level_low: Annotated[float, Between(0, 1)] = 0.25
    """Pixels whose classes all lie below are background, by the pseudo labels `levels` (CoSA)."""
    level_high: Annotated[float, Between(0, 1)] = 0.7
    """Pixels with a class above are its, by the pseudo labels `levels` (CoSA)."""
    teacher: Annotated[float, Between(0, 1)] = 0.0
    """Half-life, as a share of all steps, of a teacher that averages the weights (CoSA's is a thirtieth) and makes the
    pseudo labels from images with their own colours; scored is the student. 0 is without one."""
    swap: Annotated[float, Between(0, 1000)] = 0.0
    """Weight of the loss by which the decoder, the teacher's where there is one, teaches the patch scores (CoSA: 0.05,
    by another loss)."""
    seg_loss: Literal["mean", "balanced"] = "mean"
    """Segmentation loss: a mean over pixels, or half of it over background and half over objects (AFA, ToCo)."""
    seg_stride: Annotated[int, Between(1, 64)] = 1
    """The segmentation loss reads every seg_stride-th pixel; 4 saves time on small machines."""
    energy_weight: Annotated[float, Between(0, 1000)] = 0.0
    """Weight of the dense-energy loss of toco and afa: 0.05 in ToCo's official code; 0 leaves it out."""

    # --- self-training ----------------------------------------------------------------------------
    rounds: Annotated[int, Between(0, 1000)] = 0
    """Rounds in which apc goes on from the finished model and learns from its own masks of the training images too; 0
    is the paper's method."""
    round_epochs: Annotated[int, Between(1, 100000)] = 5
    """Epochs of each round, at the end of `epochs`."""
    round_lr: Annotated[float, Between(0, 100)] = 1e-4
    """Learning rate at the beginning of a round, which falls by a cosine to 3 % at its end."""
    round_weight: Annotated[float, Between(0, 1000)] = 1.0
    """Weight of the segmentation loss of a round, half of it background and half objects; it stands in for lambda1."""
    round_refine: Literal["none", "par", "crf"] = "crf"
    """What a round's masks are refined with: nothing, PAR (ToCo), or the dense CRF that `crf` names."""
    round_scales: tuple[float, ...] = (1.0,)
    """Multiples of `image_size` at which images are shown for a round's masks; each takes its time again."""
    round_threshold: Annotated[float, Between(0, 1)] = 0.6
    """Pixels of a round's masks whose best probability, refined, lies below are ignored; 0 ignores none."""

    # --- training ---------------------------------------------------------------------------------
    seed: Annotated[int, Between(0, 2**31)] = 0
    """Seed of initialisation, order, augmentation and dropout."""
    epochs: Annotated[int, Between(1, 100000)] = 15
    """Passes over the training images, the frozen ones, rounds and vit_pcm's second stage included (paper, section
    4.1)."""
    frozen_epochs: Annotated[int, Between(0, 100000)] = 2
    """First epochs, in which the encoder does not learn (ViT-PCM; the paper's first two epochs)."""
    stage2_epochs: Annotated[int, Between(0, 100000)] = 0
    """Last epochs, in which vit_pcm's DeepLab learns from pseudo masks; 0 leaves that second stage out."""
    unfreeze_blocks: Annotated[int, Between(0, 1000)] = 5
    """Last encoder blocks that learn after the frozen epochs; the encoder's depth opens everything."""
    batch_size: Annotated[int, Between(1, 65536)] = 16
    """Images a step over all processes together (paper, section 4.1)."""
    micro_batch: Annotated[int, Between(0, 65536)] = 0
    """Images a process holds in memory at once; fewer than its share adds gradients up. 0 is its whole share."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Optimiser."""
    lr_frozen: Annotated[float, Between(0, 100)] = 1e-3
    """Learning rate of the frozen epochs (paper, section 4.1)."""
    lr: Annotated[float, Between(0, 100)] = 1e-4
    """Learning rate after them (paper, section 4.1)."""
    beta2: Annotated[float, Between(0, 0.999999)] = 0.999
    """Adam's decay of the squared gradient."""
    weight_decay: Annotated[float, Between(0, 100)] = 0.0
    """Weight decay."""
    schedule: Literal["constant", "cosine", "poly"] = "constant"
    """Course of the learning rate: `cosine` falls to 3 %, `poly` to 0 (AFA, ToCo), at the end of the run or, where
    there are rounds or a second stage, of each of them."""
    poly_power: Annotated[float, Between(0, 10)] = 0.9
    """Exponent of the `poly` schedule: 0.9 in ToCo, 1 in AFA."""
    lr_decay: Annotated[float, Between(0.01, 1)] = 1.0
    """What each block of the encoder has of the learning rate of the block behind it; 1 is one rate for all."""
    warmup_steps: Annotated[int, Between(0, MOST)] = 0
    """Steps over which the learning rate rises to its value."""
    grad_clip: Annotated[float, Between(0, 1e6)] = 0.0
    """Largest norm of the gradient; 0 is off."""
    amp: Literal["none", "bf16"] = "none"
    """Autocast of encoder and heads; HV-BiLSTM, pooling and losses stay in float32."""
    features_dtype: Literal["float32", "bf16"] = "float32"
    """Digits of what blocks that never learn hand on, in training and in scoring, kept or computed anew: bf16 halves
    what `--cache-gib` takes."""
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
    eval_every: Annotated[int, Between(0, 100000)] = 0
    """Epochs between scorings on the validation set while training; 0 scores at the end only."""
    crf: Literal["none", "vit_pcm", "afa", "toco", "toco_cam", "irn", "deeplab", "pocket"] = "vit_pcm"
    """Parameters of the dense CRF in the *_crf scores; `none` leaves those scores out. Those of what vit_pcm's second
    stage and rounds learn from too."""

    def __post_init__(self) -> None:
        for name, hint in types().items():
            value = getattr(self, name)
            check_type(name, value, hint)
            if name in bounds() and not (bounds()[name].low <= value <= bounds()[name].high):
                low, high = bounds()[name]
                told = short(float(value) if hint is float and abs(value) < 10**30 else value)
                raise ValueError(f"{name} is {told}; it must lie between {low:g} and {high:g}")
            if hint is float:  # 1 and 1.0 are one setting and must have one identity
                object.__setattr__(self, name, float(value))
            elif hint == tuple[float, ...]:
                object.__setattr__(self, name, tuple(map(float, value)))
        if self.frozen_epochs > self.epochs:
            both = f"{self.frozen_epochs}; it cannot exceed epochs, which is {self.epochs}"
            raise ValueError(f"frozen_epochs is {both}, so give frozen_epochs of at most that, or more epochs")
        self._check_rounds()
        normalization_of(self.normalization)
        if self.seg_stride > self.image_size:
            raise ValueError(
                f"seg_stride is {self.seg_stride}; it cannot exceed image_size, which is {self.image_size}"
            )
        if (listens := self.swap and "swap" or self.rounds and "rounds") and not self.lambda1:
            value = short(getattr(self, listens))
            raise ValueError(f"{listens} is {value}; the decoder that it listens to learns nothing, as lambda1 is 0")
        if self.teacher and not self.lambda1:
            value = short(self.teacher)
            raise ValueError(f"teacher is {value}; the decoder that it teaches learns nothing, as lambda1 is 0")
        if self.pseudo_threshold and self.pseudo_label == "levels":
            value = short(self.pseudo_threshold)
            raise ValueError(f"pseudo_threshold is {value}; with pseudo_label levels it must be 0, as level_low counts")
        if self.level_low > self.level_high:
            raise ValueError(f"level_low is {self.level_low:g}; it cannot exceed level_high, {self.level_high:g}")
        if self.crop_scale < 1 and self.stage2_epochs:
            raise ValueError(
                f"crop_scale is {self.crop_scale:g}; with stage2_epochs it must be 1, as masks are of whole images"
            )
        if self.compile and self.method == "afa":
            raise ValueError("compile is True; afa listens to the attention, which compiled blocks do not tell of")
        blocks = self.decoder_blocks
        if not blocks or list(blocks) != sorted(set(blocks)) or max(map(abs, blocks)) > 1000:
            given = short(blocks)
            raise ValueError(f"decoder_blocks is {given}; give rising block numbers, such as 3 6 9 12")

    def _check_rounds(self) -> None:
        if not self.rounds:
            return
        if self.method != "apc":
            raise ValueError(f"rounds is {self.rounds}; they are apc's, and for method {self.method} must be 0")
        if self.first_stage_epochs < max(self.frozen_epochs, 1):
            left = f"epochs is {self.epochs}, of which {self.frozen_epochs} are frozen and rounds are the last"
            told = f"{self.rounds}, of {self.round_epochs} epochs each"
            raise ValueError(f"rounds is {told}; {left}, so give fewer, or more epochs")
        if not self.round_scales or not all(0.25 <= scale <= 4 for scale in self.round_scales):
            given = short(self.round_scales)
            raise ValueError(f"round_scales is {given}; give numbers from 0.25 to 4, such as 1 0.75")

    @property
    def first_stage_epochs(self) -> int:
        """Epochs before the first round."""
        return self.epochs - self.rounds * self.round_epochs

    @property
    def scored_size(self) -> int:
        """Side in pixels of the images that are scored."""
        return self.eval_size or self.image_size

    @property
    def patches(self) -> int:
        """Patches of an image in training."""
        return (self.image_size // patch_of(self.encoder)) ** 2


def patch_of(encoder: str) -> int:
    """Side in pixels of an encoder's patches by its name; 16 where that tells none."""
    return 8 if encoder == "pocket" else int((re.search(r"patch(\d+)", encoder) or [0, 16])[1])


@functools.cache
def types() -> dict[str, Any]:
    """Type of each field: int, float, bool, str, a Literal of its choices, or a tuple of numbers."""
    return get_type_hints(Config)


@functools.cache
def bounds() -> dict[str, Between]:
    """Bounds of each number; fields of other types have none."""
    hints = get_type_hints(Config, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}


def default_of(name: str) -> Any:
    """Default of one field."""
    (value,) = [f.default for f in fields(Config) if f.name == name]
    assert value is not MISSING
    return value
