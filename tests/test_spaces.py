"""Spaces as data: conditions, grids, and one sentence for whatever is wrong."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

import search_spaces
from apc import spaces
from apc.config import Config
from apc.spaces import Above, Choice, How, Real, Space, Whole
from search_spaces import joint


def test_a_knob_exists_exactly_where_its_condition_holds() -> None:
    drawn = spaces.draws(search_spaces.draw_of(joint), Config(), "joint")  # type: ignore[arg-type]
    assert {values["pooling"] for values in drawn} == {"adaptive_k", "top_k", "max", "average"}
    for values in drawn:
        assert ("k" in values) == (values["pooling"] in ("top_k", "adaptive_k"))
        assert ("theta" in values) == (values["pooling"] == "adaptive_k")
        assert ("epsilon" in values) == (values["lambda2"] > 0)
    assert any(values["lambda2"] == 0 for values in drawn)


def test_a_condition_on_an_absent_knob_does_not_hold() -> None:
    when = {"theta": Above(0.5)}
    assert spaces.holds(when, {"theta": 0.6})
    assert not spaces.holds(when, {"theta": 0.5})
    assert not spaces.holds(when, {"pooling": "max"})


def test_a_grid_has_every_setting_once() -> None:
    space: Space = {
        "pooling": Choice(("max", "top_k")), "k": Whole(2, 4, when={"pooling": ("top_k",)}),
        "lambda1": Real(0.01, 1.0, log=True),
    }  # fmt: skip
    found = spaces.grid(space, 3)
    assert found == [
        {"pooling": "max", "lambda1": 0.01}, {"pooling": "max", "lambda1": 0.1}, {"pooling": "max", "lambda1": 1.0},
        *({"pooling": "top_k", "k": k, "lambda1": value} for k in (2, 3, 4) for value in (0.01, 0.1, 1.0)),
    ]  # fmt: skip
    steps = spaces.grid({"lambda2": Real(0.0, 0.1, step=0.01)}, 4)
    assert [values["lambda2"] for values in steps] == [0, 0.03, 0.07, 0.1]


def test_a_description_tells_spaces_apart() -> None:
    def described(high: float) -> dict[str, str]:
        return spaces.describe(lambda trial: {"theta": trial.suggest_float("theta", 0.1, high)}, Config(), "x")

    assert described(0.9) == described(0.9)
    assert described(0.9) != described(0.8)
    assert list(described(0.9)) == ["theta"]


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({"lamda1": Real(0, 1)}, "there is no field 'lamda1'; did you mean lambda1"),
        ({"theta": Real(0.9, 0.5)}, "theta runs from 0.9 to 0.5; the range is upside down"),
        ({"theta": Real(0.5, 1.5)}, "theta is 1.5; it must lie between 0 and 1"),
        ({"lambda1": Real(0.0, 1.0, log=True)}, "lambda1 starts at 0; a logarithmic scale must start above 0"),
        ({"lambda1": Real(0.0, 1.0, step=-0.1)}, "lambda1 has step -0.1"),
        ({"pooling": Choice(("max", "topk"))}, "pooling is 'topk'; choose from .*did you mean top_k"),
        ({"pooling": Choice(())}, "pooling has no values"),
        ({"k": Real(1, 5)}, "k is [0-9.]+; it must be a whole number"),
        ({"k": Whole(2, 5, when={"poling": ("max",)})}, "k depends on poling, which is no knob above it"),
        (
            {"k": Whole(2, 5, when={"pooling": ("top_k",)}), "pooling": Choice(("max", "top_k"))},
            "k depends on pooling, which is no knob above it",
        ),
        (
            {"pooling": Choice(("max", "top_k")), "k": Whole(2, 5, when={"pooling": ("adaptive_k",)})},
            "k depends on pooling = adaptive_k, which is none of its values: max, top_k",
        ),
    ],
)
def test_a_wrong_space_is_refused_in_one_sentence(space: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^x.py.*({sentence})"):
        search_spaces.check(SimpleNamespace(SPACE=space), "x.py")  # type: ignore[arg-type]


def test_a_function_that_fails_in_one_branch_is_refused_when_it_is_loaded() -> None:
    def space(trial: Any) -> dict[str, Any]:
        values = {"pooling": trial.suggest_categorical("pooling", ["max", "top_k"])}
        return values | ({"k": values["poolin"]} if values["pooling"] == "top_k" else {})

    with pytest.raises(ValueError, match=r"x.py: space\(trial\) fails \(KeyError: 'poolin'\)"):
        search_spaces.check(SimpleNamespace(space=space), "x.py")  # type: ignore[arg-type]


def test_a_function_that_returns_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="returns NoneType; it must return a dict"):
        search_spaces.check(SimpleNamespace(space=lambda trial: None), "x.py")  # type: ignore[arg-type]


def test_a_first_setting_with_a_slip_is_refused() -> None:
    module = SimpleNamespace(SPACE={"theta": Real(0.1, 0.9)}, FIRST=({"theat": 0.5},))
    with pytest.raises(ValueError, match="x.py: there is no field 'theat'"):
        search_spaces.check(module, "x.py")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"sampler": "bohb"}, "--sampler bohb.*choose from tpe, gp"),
        ({"objectives": ("miou", "miou")}, "give one score, or two different ones"),
        ({"objectives": ("miou", "train_seconds"), "stop_early": "asha"}, "--stop-early asha takes one objective"),
        ({"objectives": ("miou", "train_seconds"), "sampler": "cmaes"}, "--sampler cmaes takes one objective"),
        ({"hours": -1.0}, "cannot be below 0"),
    ],
)
def test_a_way_to_search_that_cannot_be_is_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        How(trials=3, **more)


def test_every_sampler_and_rule_has_its_entry() -> None:
    from apc.samplers import PRUNERS, SAMPLERS

    assert [*SAMPLERS, "grid"] == list(spaces.SAMPLERS)
    assert tuple(PRUNERS) == spaces.STOPPERS
    assert json.dumps(spaces.SAMPLERS)
