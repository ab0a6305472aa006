"""Every setting of the system: its fields, what they may be, presets, and how they are written down."""

from apc.config.checks import normalization_of
from apc.config.fields import PATHS, Config, bounds, default_of, patch_of, types
from apc.config.presets import PRESETS, coco, eval_size_of_plus, folder, plus, pocket, voc
from apc.config.values import fields_of, from_dict, from_toml, to_dict, without_paths

__all__ = [
    "PATHS",
    "PRESETS",
    "Config",
    "bounds",
    "coco",
    "default_of",
    "eval_size_of_plus",
    "fields_of",
    "folder",
    "from_dict",
    "from_toml",
    "normalization_of",
    "patch_of",
    "plus",
    "pocket",
    "to_dict",
    "types",
    "voc",
    "without_paths",
]
