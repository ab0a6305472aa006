"""Search spaces: found by name, and checked when they are loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

import search_spaces
from apc.config import Config, fields_of, folder, from_dict, plus, pocket
from apc.search.draws import draws


@pytest.mark.parametrize("name", search_spaces.names())
def test_every_key_of_every_space_is_a_config_field(name: str) -> None:
    module = search_spaces.load(name)  # which checks it
    knobs = module.PLAN.knobs if hasattr(module, "PLAN") else search_spaces.space_of(module, Config(), name)
    assert fields_of(dict.fromkeys(knobs), name)


@pytest.mark.parametrize(
    "base",
    [plus(folder()), replace(pocket(), epochs=4), replace(folder(), k_share=0.1, jitter=0.3, schedule="poly")],
    ids=["of APC+", "too short for rounds", "with values of its own"],
)
def test_the_space_of_apc_plus_begins_with_the_base_and_fits_it(base: Config) -> None:
    space = search_spaces.load("plus")
    (first,) = search_spaces.first_of(space, base, "plus")
    assert from_dict(first, base) == base
    assert draws(search_spaces.draw_of(space, base), base, "plus")


def test_a_space_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean lambdas"):
        search_spaces.load("lambads")


def test_a_space_is_checked_when_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_spaces, "__path__", [*search_spaces.__path__, str(tmp_path)])
    for name, space in (
        ("slip", "def space(trial):\n    return {'lamda1': trial.suggest_float('lamda1', 0, 1)}\n"),
        ("wrong", "FIRST = ({'theta': 2.0},)\ndef space(t):\n    return {'theta': t.suggest_float('theta', 0, 1)}\n"),
    ):
        (tmp_path / f"{name}.py").write_text(space)
    with pytest.raises(ValueError, match="search_spaces/slip.py: there is no field 'lamda1'; did you mean lambda1"):
        search_spaces.load("slip")
    with pytest.raises(ValueError, match="theta is 2.0"):
        search_spaces.load("wrong")
