"""The settings of Table 6."""

from dataclasses import replace

from apc.config import from_dict, pocket
from experiments import table6_peers

BASE = replace(pocket(), weights="")


def test_the_peers_differ_from_apc_in_their_own_settings_and_not_in_data_encoder_or_length() -> None:
    for name, values in table6_peers.peers(BASE).items():
        cfg = from_dict(values, BASE)
        assert cfg.method == name and cfg.eval_every == 1
        for held in ("dataset", "encoder", "image_size", "num_train", "batch_size", "crf", "weights"):
            assert getattr(cfg, held) == getattr(BASE, held), (name, held)
        assert cfg.epochs - cfg.stage2_epochs == BASE.epochs  # ViT-PCM's second stage comes on top
