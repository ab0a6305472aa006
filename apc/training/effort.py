"""What a run takes beside its epochs, counted in epochs: the masks of its rounds of self-training. Imports no torch."""

from apc.config import Config

OWN, OTHER = 0.55, 0.85
"""Epochs of one showing of the training images: at the training size, where what closed blocks give is kept, 0.45 of
photographs and 0.66 of pocket; at another size by the pixels of the training size, 0.85 and 0.55."""
REFINED = {"none": 0.0, "par": 3.0, "crf": 2.4}
"""Epochs of a refinement, at the training size: the CRF 2.6 of photographs and 2.1 of pocket; PAR of pocket alone."""


def epochs_of_masks(cfg: Config) -> float:
    """Epochs before the first round that take as long as the masks of one. Processor seconds of photographs at 256
    pixels (reports/reference): 2.9 to 3.8 epochs, and 4.7 to 5.3 shown a fifth larger; of pocket 3.4."""
    flips = 1 if cfg.flip == "none" else 2
    shown = sum(OWN if scale == 1 else OTHER * scale**2 for scale in cfg.round_scales)
    return flips * shown + REFINED[cfg.round_refine]
