"""Spaces as data: conditions, grids, and one sentence for whatever is wrong."""

import functools
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import search_spaces
from apc.config import Config, folder, pocket
from apc.models.build import build_encoder
from apc.search import search_settings, spaces
from apc.search.draws import DRAWS, draws
from apc.search.search_settings import SearchSettings
from apc.search.spaces import Above, Choice, Real, Space, Whole
from apc.search.study_settings import StudyDefinition, changes, journal_settings
from search_spaces import joint


def test_a_knob_exists_exactly_where_its_condition_holds() -> None:
    drawn = draws(search_spaces.draw_of(joint, Config()), Config(), "joint")  # type: ignore[arg-type]
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
        "pooling": Choice(("max", "top_k")),
        "k": Whole(2, 4, when={"pooling": ("top_k",)}),
        "lambda1": Real(0.01, 1.0, log=True),
    }
    found = spaces.grid(space, 3)
    assert found == [
        {"pooling": "max", "lambda1": 0.01},
        {"pooling": "max", "lambda1": 0.1},
        {"pooling": "max", "lambda1": 1.0},
        *({"pooling": "top_k", "k": k, "lambda1": value} for k in (2, 3, 4) for value in (0.01, 0.1, 1.0)),
    ]
    steps = spaces.grid({"lambda2": Real(0.0, 0.1, step=0.01)}, 4)
    assert [values["lambda2"] for values in steps] == [0, 0.03, 0.07, 0.1]


def definition(space: spaces.Draw, first: Any) -> StudyDefinition:
    settings = SearchSettings(trials=1)
    return StudyDefinition(space, name="x", base=Config(), seeds=[0], settings=settings, first=first)


def told(then: spaces.Draw, now: spaces.Draw, first: Any = (), first_now: Any = ()) -> list[str]:
    """What a study that was begun with one space says of another."""
    one, other = (journal_settings(definition(space, tried)) for space, tried in ((then, first), (now, first_now)))
    return changes(one, other)


def test_a_range_that_changed_is_told_and_not_what_follows_from_it() -> None:
    def up_to(high: float) -> spaces.Draw:
        return lambda trial: {"theta": trial.suggest_float("theta", 0.1, high)}

    assert told(up_to(0.9), up_to(0.9)) == []
    (said,) = told(up_to(0.9), up_to(0.8))
    assert said.startswith("space of theta was FloatDistribution(high=0.9,")
    assert "is FloatDistribution(high=0.8," in said


def test_a_condition_that_changed_is_told_of_its_knob_alone() -> None:
    def where(*poolings: str) -> spaces.Draw:
        space: Space = {
            "pooling": Choice(("max", "top_k", "adaptive_k")),
            "k": Whole(2, 12, when={"pooling": poolings}),
            "lambda1": Real(0.001, 1.0, log=True),
        }
        return functools.partial(spaces.suggest, space)

    both = len([v for v in draws(where("top_k", "adaptive_k"), Config(), "x") if "k" in v])
    few = len([v for v in draws(where("top_k"), Config(), "x") if "k" in v])
    assert 0 < few < both < DRAWS
    assert told(where("top_k", "adaptive_k"), where("top_k")) == [
        f"k was in {both} of 64 settings drawn, is in {few}: its condition is another"
    ]


def test_values_that_a_function_sets_are_told_where_they_changed() -> None:
    def with_lambda2(value: float, more: float = 0.0) -> spaces.Draw:
        def space(trial: Any) -> dict[str, Any]:
            lambda1 = trial.suggest_float("lambda1", 0.1, 0.5)
            return {"lambda1": lambda1 + more, "lambda2": value}

        return space

    assert told(with_lambda2(0.01), with_lambda2(0.01)) == []
    assert told(with_lambda2(0.01), with_lambda2(0.02)) == ["lambda2 was always 0.01, is always 0.02"]
    (said,) = told(with_lambda2(0.01), with_lambda2(0.01, more=0.1))
    assert said == "the condition of lambda1, or the values that the space gives it, are others"


def test_other_settings_tried_first_are_told_and_an_older_journal_that_has_none_goes_on() -> None:
    space: spaces.Draw = lambda trial: {"theta": trial.suggest_float("theta", 0.1, 0.9)}  # noqa: E731
    assert told(space, space, [{"theta": 0.5}], [{"theta": 0.6}]) == ["FIRST was [{'theta': 0.5}], is [{'theta': 0.6}]"]
    now = journal_settings(definition(space, [{"theta": 0.5}]))
    old = {key: value for key, value in now.items() if key not in ("FIRST", "drawn")}
    assert changes(old, now) == []


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
        SearchSettings(trials=3, **more)


def test_every_sampler_and_rule_has_its_entry() -> None:
    from apc.search.samplers import PRUNERS, SAMPLERS

    assert [*SAMPLERS, "grid"] == list(search_settings.SAMPLERS)
    assert tuple(PRUNERS) == search_settings.STOPPERS
    assert json.dumps(search_settings.SAMPLERS)


def test_k_of_the_joint_space_reaches_a_quarter_of_the_patches() -> None:
    sizes = {144: pocket(), 576: Config(), 256: replace(folder(), image_size=256)}
    sizes |= {16: replace(pocket(), image_size=32), 4: replace(pocket(), image_size=16)}
    highest = {base.patches: joint.SPACE(base)["k"].high for base in sizes.values()}  # type: ignore[union-attr]
    assert highest == {144: 36, 576: 144, 256: 64, 16: 4, 4: 2} and list(highest) == list(sizes)
    drawn = draws(search_spaces.draw_of(joint, pocket()), pocket(), "joint")  # type: ignore[arg-type]
    ks = [values["k"] for values in drawn if "k" in values]
    assert (min(ks), max(ks)) == (2, 36)
    assert sum(k < 9 for k in ks) > len(ks) / 3  # on a logarithmic scale


def test_more_patches_for_a_class_than_an_image_has_are_refused() -> None:
    space: Space = {"k": Whole(2, 200), "theta": Real(0.5, 0.9)}
    draw = functools.partial(spaces.suggest, space)
    assert len(draws(draw, Config(), "x")) == DRAWS  # 576 patches
    with pytest.raises(ValueError, match=r"^x: k comes to \d+, and an image of 96 pixels has 144 patches$"):
        draws(draw, pocket(), "x")


def test_the_patches_that_a_config_counts_are_those_of_its_encoder() -> None:
    for base in (replace(pocket(), weights=""), replace(folder(), weights="", image_size=64)):
        side = base.image_size // build_encoder(base).patch
        assert base.patches == side**2


def test_a_space_that_is_a_function_and_fails_is_refused_when_it_is_loaded() -> None:
    module = SimpleNamespace(SPACE=lambda base: {"theta": Real(0.5, base.thetta)})
    with pytest.raises(ValueError, match=r"^x.py: SPACE fails \(AttributeError: 'Config' object has no"):
        search_spaces.check(module, "x.py")  # type: ignore[arg-type]
