"""Commands that a command suggests, as a shell takes them: whatever a folder is called, they can be pasted."""

import shlex

from apc.flags.usual import runs_folder
from apc.flags.words import spelt


def train_command(
    preset: str, *, root: str = "", weights: str = "", deeplab_weights: str = "", config: str = "", runs: str = ""
) -> str:
    """`apc train PRESET …`: what trains a setting whose file of fields, if there is one, is `config`.

    Folder and files of weights stand in no such file, for they are one machine's: without them another model would be
    trained. `runs` is left out where it is what the command takes anyway; so is what is empty.
    """
    runs = "" if runs == str(runs_folder()) else runs
    named = {"root": root, "weights": weights, "deeplab_weights": deeplab_weights, "config": config, "runs": runs}
    words = [word for name, value in named.items() if value for word in spelt(name, value)]
    return shlex.join(["apc", "train", preset, *words])
