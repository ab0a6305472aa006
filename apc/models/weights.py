"""Encoder weights: the embedded pre-training, timm's own by the encoder's name, or a local file.

A file is only ever read as tensors: nothing in it is executed.
"""

import difflib
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor

from apc.config import Config, normalization_of
from apc.files import file_fingerprint
from apc.models import pretraining

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of red, green and blue."""


def weights_file(cfg: Config) -> Path | None:
    """The file a config's weights are in, fetched by timm's name where that is asked for; None without weights.

    ValueError in one sentence where there is none, before anything long has started.
    """
    if not cfg.weights:
        return None
    if cfg.weights == "pocket":
        return pretraining.path()
    if cfg.weights == "timm":
        return _from_hub(cfg.encoder)
    if not Path(cfg.weights).is_file():
        raise ValueError(f"weights: there is no file {cfg.weights}; give a local .safetensors or .pth file, or timm")
    return Path(cfg.weights)


def normalization(cfg: Config) -> Normalization | None:
    """Mean and standard deviation that a config or the tag of its encoder asks for; None where there is neither, and
    the network's own hold. ValueError for a tag that timm lacks."""
    return normalization_of(cfg.normalization) or (_of_tag(cfg.encoder) if "." in cfg.encoder else None)


def _of_tag(encoder: str) -> Normalization:
    """What timm says of the weights of one tag: those of the architecture's first tag may be others."""
    known = _known(encoder)
    if known is None:
        raise ValueError(f"encoder is {encoder!r}; timm has no weights of that name, it has {_tags(encoder)}")
    return tuple(known.mean), tuple(known.std)


def _other_than_earlier(cfg: Config) -> str:
    """The tag, behind a stroke, where earlier versions normalised with the mean of another one; else empty."""
    name, _, tag = cfg.encoder.partition(".")
    if not tag or cfg.normalization or _of_tag(cfg.encoder) == _of_tag(name):
        return ""
    return f"/{tag}"


def fingerprint(cfg: Config) -> str:
    """What the weights are: a hash of their file, or the recipe of the embedded pre-training; empty without weights.
    Behind a plus sign stands the hash of `deeplab_weights`, where there are any."""
    second = _other_than_earlier(cfg)
    if cfg.deeplab_weights:
        if not Path(cfg.deeplab_weights).is_file():
            choices = "give a local .safetensors or .pth file"
            raise ValueError(f"deeplab_weights: there is no file {cfg.deeplab_weights}; {choices}")
        second += f"+{file_fingerprint(cfg.deeplab_weights)}"
    if cfg.weights == "pocket":
        return pretraining.fingerprint() + second
    path = weights_file(cfg)
    return (file_fingerprint(str(path)) if path else "") + second


def contents(cfg: Config) -> str:
    """Hash of the weights' file; the embedded pre-training may differ in its last digits between machines."""
    path = weights_file(cfg)
    return file_fingerprint(str(path)) if path else ""


def load_into(vit: VisionTransformer, cfg: Config) -> None:
    """Give a fresh encoder the config's weights; ValueError where they are not of its shape."""
    if cfg.weights == "pocket":
        state = pretraining.pretrained_state()
    else:
        state = read_weights(str(weights_file(cfg)))
    try:
        filtered = checkpoint_filter_fn(state, vit)
    except (RuntimeError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # timm resizes positions and reshapes patches before anybody has compared their shapes
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{cfg.weights}: not weights of {cfg.encoder}; they cannot be fitted to it ({why})") from None
    state = {k: v for k, v in filtered.items() if not k.startswith(("head.", "head_dist.", "fc_norm."))}
    if wrong := misfits(state, vit.state_dict()):
        count, first = len(wrong), wrong[0]
        raise ValueError(f"{cfg.weights}: not weights of {cfg.encoder}; {count} tensors do not fit, first {first}")
    vit.load_state_dict(state)


def misfits(state: dict[str, Tensor], own: dict[str, Tensor]) -> list[str]:
    """Names of tensors that are missing in `state`, unknown to the model, of another shape, or whole numbers where its
    are fractions."""

    def alike(one: Tensor, other: Tensor) -> bool:
        return one.shape == other.shape and (other.is_floating_point() or not one.is_floating_point())

    return sorted(k for k in own.keys() | state.keys() if k not in own or k not in state or not alike(own[k], state[k]))


def read_weights(path: str) -> dict[str, Tensor]:
    """Tensors of a .safetensors or torch file, by name; ValueError where it holds anything else, or no numbers."""
    try:
        safe = path.endswith(".safetensors")
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"weights: {path} cannot be read ({str(error).splitlines()[0]})") from None
    except Exception as error:  # torch raises pickle's own errors, without a word, for a file that is not a checkpoint
        raise ValueError(f"weights: {path} is not a weights file ({type(error).__name__})") from None
    if isinstance(state, dict) and not safe:
        state = state.get("model", state.get("state_dict", state))
    return _checked(state, path)


def _checked(state: Any, path: str) -> dict[str, Tensor]:
    """What a file holds, once it is known to be dense tensors by name, and finite."""
    if not isinstance(state, dict):
        raise ValueError(f"weights: {path} holds a {type(state).__name__}; it must hold tensors by name")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            held = f"a {type(tensor).__name__} by the name {name!r}"
            raise ValueError(f"weights: {path} holds {held}; it must hold tensors by name")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise ValueError(f"weights: {path} holds {name} as a sparse or quantised tensor; save it as a dense one")
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            what = "numbers that are not finite (NaN or infinity)"
            raise ValueError(f"weights: {path} holds {what}, first in {name}; its training diverged, train it again")
    return state


def _known(encoder: str) -> Any:
    """What timm knows of an encoder's weights; None where it knows none of that name."""
    try:
        return timm.get_pretrained_cfg(encoder)
    except RuntimeError:  # a tag the architecture lacks
        return None


def _tags(encoder: str) -> str:
    name = encoder.split(".")[0]
    return ", ".join(timm.list_pretrained(f"{name}.*") or difflib.get_close_matches(name, timm.list_pretrained(), n=3))


def _from_hub(encoder: str) -> Path:
    """timm's weights of an encoder from the hub's cache, downloaded once."""
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    known = _known(encoder)
    if known is None or not known.hf_hub_id:
        raise ValueError(f"encoder is {encoder!r}; timm has no weights of that name, it has {_tags(encoder)}")
    repo = known.hf_hub_id if "/" in known.hf_hub_id else f"timm/{encoder}"
    cached = try_to_load_from_cache(repo, "model.safetensors")
    if isinstance(cached, str):
        return Path(cached)
    try:  # one question first: without a network the download would ask again for half a minute
        urlopen(Request(hf_hub_url(repo, "model.safetensors"), method="HEAD"), timeout=10).close()
        print(f"fetching the weights of {encoder}", flush=True)
        return Path(hf_hub_download(repo, "model.safetensors"))
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"weights of {encoder} are not on this machine and cannot be fetched ({error}): download "
            f"model.safetensors of {repo} from the Hugging Face hub elsewhere and name it with --weights FILE"
        ) from None
