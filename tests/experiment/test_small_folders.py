"""Epochs of a small folder of photographs follow from a least number of steps."""

from dataclasses import replace
from pathlib import Path

import pytest

from apc.config import Config, folder, pocket
from apc.experiment.config_flags import config_of
from apc.experiment.small_folders import enough_steps, told, within


def listed(root: Path, photographs: int) -> str:
    root.mkdir(exist_ok=True)
    lines = ["image,labels", *(f"{number}.jpg,cat" for number in range(photographs))]
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return str(root)


def lengths(cfg: Config) -> tuple[int, int, int]:
    return cfg.epochs, cfg.frozen_epochs, cfg.eval_every


@pytest.mark.parametrize(
    ("photographs", "expected"),
    [(27, (300, 40, 40)), (100, (50, 7, 7)), (319, (16, 2, 2)), (320, (15, 2, 2)), (651, (15, 2, 2))],
)
def test_few_photographs_are_trained_for_more_epochs_in_the_presets_proportions(
    photographs: int, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    cfg = config_of("folder", {"root": listed(tmp_path, photographs)})
    assert lengths(cfg) == expected
    assert replace(cfg, epochs=15, frozen_epochs=2, eval_every=2) == replace(folder(), root=str(tmp_path))


def test_it_is_told_in_a_line_and_not_where_nothing_changes(tmp_path: Path) -> None:
    assert told(config_of("folder", {"root": listed(tmp_path, 27)})) == (
        "few training photographs, a step an epoch: 300 epochs instead of 15 make 300 steps; "
        "--epochs chooses another number"
    )
    assert told(config_of("folder", {"root": listed(tmp_path, 27), "epochs": 30})) == ""
    assert told(config_of("folder", {"root": listed(tmp_path, 651)})) == ""
    assert told(pocket()) == told(replace(pocket(), num_train=32)) == ""


def test_what_was_chosen_stays_even_where_it_is_the_presets_own_value(tmp_path: Path) -> None:
    root = listed(tmp_path / "photographs", 27)
    assert lengths(config_of("folder", {"root": root, "epochs": 15})) == (15, 2, 2)
    assert lengths(config_of("folder", {"root": root, "frozen_epochs": 2, "eval_every": 0})) == (300, 2, 0)
    (tmp_path / "best.toml").write_text("epochs = 15\n")
    assert lengths(config_of("folder", {"root": root, "config": tmp_path / "best.toml"})) == (15, 2, 2)
    assert config_of("folder", {"root": root}, lambda cfg: replace(cfg, epochs=1, frozen_epochs=0)).epochs == 1


def test_a_smaller_batch_makes_more_steps_and_fewer_images_make_fewer(tmp_path: Path) -> None:
    root = listed(tmp_path, 64)
    assert config_of("folder", {"root": root}).epochs == 75
    assert config_of("folder", {"root": root, "batch_size": 4}).epochs == 19
    assert config_of("folder", {"root": root, "num_train": 16}).epochs == 300


def test_another_method_takes_its_proportions_of_these_epochs(tmp_path: Path) -> None:
    cfg = config_of("folder", {"root": listed(tmp_path, 27), "method": "vit_pcm", "num_train": 27})
    assert (cfg.epochs, cfg.stage2_epochs) == (300 + 71, 71)  # 19 to 80


def test_a_list_that_cannot_be_read_and_other_data_sets_are_left_to_whoever_reads_them(tmp_path: Path) -> None:
    assert config_of("folder", {"root": str(tmp_path)}).epochs == 15
    assert enough_steps(pocket(), ()) == pocket()


def test_a_smoke_run_takes_no_more_than_a_small_folder_has(tmp_path: Path) -> None:
    cfg = replace(folder(), root=listed(tmp_path, 5), num_train=32, num_val=8)
    (tmp_path / "val.csv").write_text("image,labels\na.jpg,cat\nb.jpg,cat\n")
    assert (within(cfg, ()).num_train, within(cfg, ()).num_val) == (5, 2)
    assert within(cfg, ("num_train",)).num_train == 32  # which is then refused by its number
    assert within(replace(pocket(), num_train=32), ()).num_train == 32


def test_rounds_of_apc_plus_come_on_top_and_keep_their_share(tmp_path: Path) -> None:
    def plus_of(photographs: int) -> Config:
        return config_of("folder", {"root": listed(tmp_path, photographs), "plus": True})

    assert (plus_of(651).epochs, plus_of(651).rounds, plus_of(651).round_epochs) == (19, 1, 4)
    few = plus_of(27)
    assert (few.epochs, few.frozen_epochs, few.round_epochs, few.first_stage_epochs) == (380, 40, 80, 300)
    assert told(few).startswith("few training photographs, a step an epoch: 300 epochs instead of 15 make 300 steps")
