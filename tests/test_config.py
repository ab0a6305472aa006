"""Config: one spelling a knob, each with its meaning, and the way to a file and back."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tomli_w

from apc.config import Config, from_dict, from_toml, pocket, to_dict

ROOT = Path(__file__).resolve().parents[1]


def test_a_config_survives_toml(tmp_path: Path) -> None:
    cfg = replace(pocket(), theta=0.7, decoder_blocks=(1, 2, 3))
    (tmp_path / "c.toml").write_text(tomli_w.dumps(to_dict(cfg)))
    assert from_toml(tmp_path / "c.toml") == cfg


def test_every_field_says_what_it_means() -> None:
    source = (ROOT / "apc" / "config.py").read_text()
    for f in fields(Config):
        assert re.search(rf'^    {f.name}: .*\n    """.+', source, re.M), f.name


def test_a_field_that_is_not_there_is_named_with_its_nearest() -> None:
    with pytest.raises(ValueError, match="there is no field 'lambda3'; did you mean lambda"):
        from_dict({"lambda3": 1.0})
