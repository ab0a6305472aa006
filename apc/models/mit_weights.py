"""Names of MiT's weights: SegFormer's release and its copy on the Hugging Face hub call them otherwise than mit.py."""

import re

import torch
from torch import Tensor

_HUB_NAMES = {
    r"^segformer\.": "",
    r"^encoder\.": "",
    r"^patch_embeddings\.(\d)\.layer_norm": r"stages.\1.embed.norm",
    r"^patch_embeddings\.(\d)\.": r"stages.\1.embed.",
    r"^layer_norm\.(\d)\.": r"stages.\1.norm.",
    r"^block\.(\d)\.": r"stages.\1.blocks.",
    r"\.layer_norm_([12])\.": r".norm\1.",
    r"\.attention\.self\.layer_norm\.": ".attn.norm.",
    r"\.attention\.self\.(sr|key|value)\.": r".attn.\1.",
    r"\.attention\.self\.query\.": ".attn.q.",
    r"\.attention\.output\.dense\.": ".attn.proj.",
    r"\.mlp\.dense([12])\.": r".mlp.fc\1.",
}
"""Names on the hub -> ours, applied in this order; SegFormer's own names pass unchanged."""


def own_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under SegFormer's names, or the hub's, -> under ours; the classifier and the decoder are left out."""
    named = {}
    for name, tensor in state.items():
        for pattern, new in _HUB_NAMES.items():
            name = re.sub(pattern, new, name)
        name = re.sub(
            r"^(patch_embed|block|norm)(\d)\.",
            lambda m: f"stages.{int(m[2]) - 1}." + {"patch_embed": "embed.", "block": "blocks.", "norm": "norm."}[m[1]],
            name.removeprefix("backbone."),
        ).replace(".dwconv.dwconv.", ".dwconv.")
        if not name.startswith(("head.", "classifier.", "decode_head.")):
            named[name] = tensor
    for name in [n for n in named if ".attn.key." in n]:
        value = named.pop(name.replace(".key.", ".value."), None)
        if value is not None:
            named[name.replace(".key.", ".kv.")] = torch.cat([named.pop(name), value])
    return named
