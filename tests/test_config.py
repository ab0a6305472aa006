"""Config: one spelling a knob, each with its meaning, and the way to a file and back."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tomli_w

from apc.config import PRESETS, Config, bounds, from_dict, from_toml, pocket, to_dict, types

ROOT = Path(__file__).resolve().parents[1]


def test_a_config_survives_toml(tmp_path: Path) -> None:
    cfg = replace(pocket(), theta=0.7, decoder_blocks=(1, 2, 3))
    (tmp_path / "c.toml").write_text(tomli_w.dumps(to_dict(cfg)))
    assert from_toml(tmp_path / "c.toml") == cfg


def test_every_field_says_what_it_means() -> None:
    source = (ROOT / "apc" / "config" / "fields.py").read_text()
    for f in fields(Config):
        assert re.search(rf'^    {f.name}: .*\n    """.+', source, re.M), f.name


def test_every_number_has_bounds_and_its_default_lies_between_them() -> None:
    default = Config()
    assert set(bounds()) == {name for name, hint in types().items() if hint in (int, float)}
    assert all(low <= getattr(default, name) <= high for name, (low, high) in bounds().items())
    assert (bounds()["theta"], bounds()["epsilon"], bounds()["k"]) == ((0, 1), (0.5, 1), (1, 4096))


@pytest.mark.parametrize(("field", "value"), [("theta", 1.01), ("epsilon", 0.49), ("k", 0), ("seed", -1)])
def test_a_number_outside_its_bounds_is_refused_with_them(field: str, value: float) -> None:
    low, high = bounds()[field]
    with pytest.raises(
        ValueError, match=f"{field} is {value}; it must lie between {low:g} and {re.escape(f'{high:g}')}"
    ):
        replace(pocket(), **{field: value})


@pytest.mark.parametrize("preset", PRESETS)
def test_fewer_epochs_than_are_frozen_are_refused_with_a_way_out(preset: str) -> None:
    cfg = replace(PRESETS[preset](), frozen_epochs=2)
    told = (
        "frozen_epochs is 2; it cannot exceed epochs, which is 1, so give frozen_epochs of at most that, or more epochs"
    )
    with pytest.raises(ValueError, match=f"^{told}$"):
        replace(cfg, epochs=1)
    assert replace(cfg, epochs=1, frozen_epochs=1).epochs == 1


def test_a_field_that_is_not_there_is_named_with_its_nearest() -> None:
    with pytest.raises(ValueError, match="there is no field 'lambda3'; did you mean lambda"):
        from_dict({"lambda3": 1.0})
