"""What settings are compared by where a search goes by image labels: who votes, when, and what is kept of it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from opened import opened_files
from studies import BASE, quality, study
from voters import TRUTH, advance, leave, maps, rule

from apc.config import Config, from_dict, to_dict
from apc.experiment.outputs import winner_of
from apc.files import write_arrays
from apc.runs.compared import END, VOTERS, Compared, compared_by, how_compared
from apc.runs.folder import RunFolder, save_run
from apc.runs.rows import Row
from apc.search import vote
from apc.search.judging import Judge, Known, OfRace
from apc.search.plans import Point, Result, rows_of
from apc.search.race import Race
from apc.search.study import Study
from search_spaces import joint

TEN = replace(BASE, epochs=10, frozen_epochs=1, eval_every=0)


def by_labels(runs: Path, trials: int = VOTERS, **more: Any) -> Study:
    """A study that halves at epoch 4 and goes by labels."""
    halving = {"base": TEN, "stop_early": "halving", "rungs": (4, 10), "objectives": ("border_rule",)}
    return study(runs, trials, **halving | more)


def finish(s: Study, *, ballots: bool = True) -> list[tuple[str, int]]:
    trained = []
    while trial := s.take():
        trained += advance(s, trial, ballots=ballots)
        s.finish(trial)
    assert s.through
    return trained


def table(s: Study) -> str:
    """All that a search says of its trials, and how they were compared, to the last digit."""
    return json.dumps(
        [(p.values, [(r.run, r.metrics, r.stopped, r.curve, r.stamp) for r in rows]) for p, rows in s.result()]
    )


def config(point: Point) -> Config:
    return from_dict(point.values, TEN)


def judge(runs: Path, settings: Sequence[tuple[float, np.ndarray]], epoch: int = 4, later: int = 0) -> Judge:
    """A judge of settings that left, after an epoch, a rule and a decoder whose masks they vote for too; the first so
    many of them reached the END as well."""
    for number, (_, decoder) in enumerate(settings):
        folder = RunFolder(runs / f"{number:012x}")
        write_arrays(folder.ballots_at(epoch), {"patch": decoder, "decoder": decoder})
        if number < later:
            write_arrays(folder.ballots, {"patch": np.zeros_like(decoder), "decoder": decoder})

    def known(at: int) -> list[Known]:
        runs_of = [f"{number:012x}" for number in range(len(settings) if at == epoch else later)]
        return [Known(n, run, {run: settings[n][0]}) for n, run in enumerate(runs_of)]

    return Judge(runs, known, (epoch,))


def honest(count: int) -> list[tuple[float, np.ndarray]]:
    """Settings that err more and more, whose rule says the opposite."""
    return [(1.0 + number, maps(0.1 + 0.7 * number / count, number)) for number in range(count)]


@pytest.mark.parametrize("count", [VOTERS - 1, VOTERS])
def test_it_takes_twenty_four_to_vote(count: int, tmp_path: Path) -> None:
    found = judge(tmp_path, honest(count))
    values, (_, compared) = found.values(4), found.votes(4)
    if count < 24:
        assert values == {} and compared.told == "border_rule, for 23 settings can vote and it takes 24"
    else:
        assert compared.told == "the vote of 24 settings, as they were after epoch 4"
        assert max(values, key=lambda n: values[n]) == 0 and min(values, key=lambda n: values[n]) > 20


def test_a_setting_that_is_proposed_twice_has_one_vote(tmp_path: Path) -> None:
    found = judge(tmp_path, honest(VOTERS))
    twice = [*found.known(4)[:-1], found.known(4)[0]._replace(number=23)]
    assert Judge(tmp_path, lambda at: twice, (4,)).values(4) == {}


@pytest.mark.parametrize("rest", ["none", "damaged", "smaller"])
def test_where_one_has_no_ballot_the_rule_compares_all(rest: str, tmp_path: Path) -> None:
    found = judge(tmp_path, honest(VOTERS))
    path = RunFolder(tmp_path / f"{7:012x}").ballots_at(4)
    if rest == "smaller":
        write_arrays(path, {"patch": TRUTH[:, :2, :2], "decoder": TRUTH[:, :2, :2]})
    else:
        path.unlink() if rest == "none" else path.write_bytes(path.read_bytes()[:50])
    votes, compared = found.votes(4)
    assert votes == {} and found.values(4) == {}
    lacks = "run 000000000007 has no ballot, as those of earlier versions"
    sizes = "ballots of images of different sizes cannot be compared"
    assert compared.told == f"border_rule, for {sizes if rest == 'smaller' else lacks}"


def test_those_that_are_finished_are_judged_as_they_are_by_all_as_they_were_at_the_rung(tmp_path: Path) -> None:
    settings = honest(VOTERS)
    found = judge(tmp_path, settings, later=3)
    assert found.values(END) == {n: vote for n, vote in found.values(4).items() if n < 3}  # their decoders are the same
    better = RunFolder(tmp_path / f"{2:012x}")
    write_arrays(better.ballots, {"patch": np.zeros_like(TRUTH), "decoder": TRUTH})
    again = judge_again(found).values(END)
    assert max(again, key=lambda n: again[n]) == 2 and again[0] == found.values(4)[0]
    assert found.votes(END)[1].told == "the vote of 24 settings, as they were after epoch 4"


def test_a_jury_is_counted_once_for_the_rung_and_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    class Counted(vote.Jury):
        def __init__(self, ballots: Sequence[vote.Ballot]) -> None:
            counted.append(len(ballots))
            super().__init__(ballots)

    monkeypatch.setattr(vote, "Jury", Counted)
    found = judge(tmp_path, honest(VOTERS), later=3)
    assert [len(found.values(epoch)) for epoch in (4, END, 4)] == [VOTERS, 3, VOTERS] and counted == [VOTERS]
    more = [*found.known(4)[:-1], found.known(4)[-1]._replace(rules={f"{VOTERS - 1:012x}": 99.0})]
    found.known = lambda epoch: more if epoch == 4 else []
    assert len(found.values(4)) == VOTERS and counted == [VOTERS] * 2  # another jury, and another count


def judge_again(found: Judge) -> Judge:
    return Judge(found.runs, found.known, found.rungs)


def filled() -> np.ndarray:
    """Each photograph filled with its largest class."""
    return np.stack([np.full((4, 4), np.bincount(photo.ravel()).argmax(), np.uint8) for photo in TRUTH])


@pytest.mark.parametrize("kind", ["background", "one class", "filled"])
def test_degenerate_settings_never_win_though_most_are_such(kind: str, tmp_path: Path) -> None:
    """Their own rule is 0: so they have no voice, and no chance, whatever the two that are left say of each other."""
    same = {"background": np.zeros_like(TRUTH), "one class": np.ones_like(TRUTH), "filled": filled()}[kind]
    few = [(3.0, maps(0.7, 1)), (2.0, maps(0.8, 2))]
    values = judge(tmp_path, [*[(0.0, same)] * (VOTERS - 2), *few]).values(4)
    assert {n for n, value in values.items() if value > 0} == {22, 23} and len(values) == 24


@pytest.mark.parametrize("kind", ["background", "one class", "filled"])
def test_a_degenerate_setting_that_has_a_little_weight_is_outvoted(kind: str, tmp_path: Path) -> None:
    same = {"background": np.zeros_like(TRUTH), "one class": np.ones_like(TRUTH), "filled": filled()}[kind]
    wrong = [(1.0, maps(0.4, number)) for number in range(VOTERS - 4)]
    values = judge(tmp_path, [*[(0.1, same)] * 4, *wrong]).values(4)
    assert max(values[n] for n in range(4)) < min(values[n] for n in range(4, VOTERS))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_where_at_most_one_has_weight_the_rule_compares(weight: float, tmp_path: Path) -> None:
    same = [(0.0, np.zeros_like(TRUTH))] * VOTERS
    votes, compared = judge(tmp_path, [*same, (weight, TRUTH)]).votes(4)
    assert votes == {}
    assert compared.told == "border_rule, for fewer than two settings have a border_rule above 0"


def test_a_search_goes_on_and_ends_with_what_the_vote_says(tmp_path: Path) -> None:
    s = by_labels(tmp_path)
    trained = finish(s)
    assert Counter(epoch for _, epoch in trained)[4] == 24 and Counter(epoch for _, epoch in trained)[10] == 6
    result = s.result()
    votes = {row.run: entry["vote"] for _, (row,) in result for entry in row.curve if "vote" in entry}
    left = [(point, row) for point, (row,) in result if not row.stopped]
    best_five, (_, (paper,)) = sorted(votes, key=lambda run: -votes[run])[:5], result[0]
    assert len(votes) == 24 and {row.run for _, row in left} == {*best_five, paper.run}
    assert [row.metrics["border_rule"] for _, row in left] == [rule(config(point)) for point, _ in left]  # the parts
    winner = winner_of(result, compared_by(rows_of(result), "border_rule"))
    by_rule = winner_of(result, "border_rule")
    best = max(quality(config(point)) for point, _ in result)
    assert winner and by_rule and quality(config(winner)) == best > quality(config(by_rule))
    assert how_compared(rows_of(result)) == ("vote", 24, 4, "")


def test_a_seed_that_fails_costs_its_setting_the_vote_and_no_other(tmp_path: Path) -> None:
    s, failed = by_labels(tmp_path, seeds=(0, 1)), ""
    while trial := s.take():
        if trial.until or failed:
            advance(s, trial)
        else:
            failed = trial.ids[0]
            advance(s, replace(trial, configs=trial.configs[:1], ids=trial.ids[:1]))
            (tmp_path / trial.ids[1]).mkdir()
            (tmp_path / trial.ids[1] / "error.txt").write_text("FloatingPointError: the loss is not finite\n")
        s.finish(trial)
    result = s.result()
    (half,) = [rows for _, rows in result if rows[0].run == failed]
    assert "border_rule" in half[0].metrics and "vote" not in half[0].metrics and half[1].error
    assert compared_by(rows_of(result), "border_rule") == "vote"
    winner, others = winner_of(result, "vote"), [point for point, rows in result if "vote" in rows[0].metrics]
    assert winner in others and len(others) == 5  # of six that were trained to the end, the first one among them


def test_the_rows_of_an_earlier_call_that_had_no_vote_take_it_from_no_other() -> None:
    told = [Compared("border_rule", 20, why="20 settings can vote and it takes 24"), Compared("vote", 24, 4)]
    scores = {"border_rule": 9.0}, {"border_rule": 1.0, "vote": 80.0}
    rows = [
        Row(run="", config={}, metrics=metrics, seconds={}, stamp=compared.stamp)
        for metrics, compared in zip(scores, told, strict=True)
    ]
    assert compared_by(rows, "border_rule") == "vote" and how_compared(rows) == told[1]
    assert compared_by(rows[:1], "border_rule") == "border_rule" and how_compared(rows[:1]) == told[0]
    of_a_rule = [replace(row, stamp=row.stamp | {"search": {"objectives": ["branch_rule"]}}) for row in rows]
    assert how_compared(of_a_rule) is None


def test_with_fewer_than_twenty_four_the_rule_decides_and_says_so(tmp_path: Path) -> None:
    s = by_labels(tmp_path, VOTERS - 1)
    finish(s)
    result = s.result()
    (_, (paper,)), *others = result
    left = [rule(config(point)) for point, (row,) in others if not row.stopped]
    assert sorted(left) == sorted(rule(config(point)) for point, _ in others)[-len(left) :] and not paper.stopped
    assert compared_by(rows_of(result), "border_rule") == "border_rule"
    compared = how_compared(rows_of(result))
    assert compared and compared.told == "border_rule, for 23 settings can vote and it takes 24"


def test_runs_without_ballots_are_compared_as_they_were_before(tmp_path: Path) -> None:
    s = by_labels(tmp_path / "now", 30)
    finish(s, ballots=False)
    before = by_labels(tmp_path / "before", 30)
    before.judge = before.rescored = before.brackets.votes = None  # type: ignore[attr-defined]
    finish(before, ballots=False)
    assert [(p.values, rows[0].metrics, rows[0].stopped) for p, rows in s.result()] == [
        (p.values, rows[0].metrics, rows[0].stopped) for p, rows in before.result()
    ]
    compared = how_compared(rows_of(s.result()))
    assert compared and "has no ballot, as those of earlier versions" in compared.told


class Killed(BaseException):
    """SIGKILL, as far as the journal sees."""


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_a_search_by_labels_killed_again_and_again_comes_to_the_same(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before and behind every kind of line that its journal gets, and while it trains."""
    monkeypatch.setattr("apc.search.judging.VOTERS", 10)  # soon enough that the sampler is told of votes
    whole = by_labels(tmp_path / "whole", 14, space=joint, sampler=sampler)
    epochs, trained, lines = finish(whole), list[tuple[str, int]](), 0
    storage = optuna.storages.JournalStorage
    kinds = {name: getattr(storage, name) for name in ("set_trial_state_values", "set_study_user_attr")}

    def killing(name: str) -> Any:
        def told(*words: Any, **more: Any) -> Any:
            nonlocal lines
            lines += 1
            if lines % 7 == 3:
                raise Killed
            done = kinds[name](*words, **more)
            if lines % 7 == 6:
                raise Killed
            return done

        return told

    for name in kinds:
        monkeypatch.setattr(storage, name, killing(name))
    for step in range(300):
        try:
            s = by_labels(tmp_path / "parts", 14, space=joint, sampler=sampler)
            if (trial := s.take()) is None:
                break
            if step % 4 != 1:
                trained += advance(s, trial)
            if step % 4 > 1:
                s.finish(trial)
        except Killed:
            pass
    for name, told in kinds.items():
        monkeypatch.setattr(storage, name, told)
    s = by_labels(tmp_path / "parts", 14, space=joint, sampler=sampler)
    assert s.through and table(s) == table(whole) == table(
        by_labels(tmp_path / "whole", 14, space=joint, sampler=sampler)
    )
    assert sorted(trained) == sorted(epochs)
    assert how_compared(rows_of(s.result())) == ("vote", 14, 4, "")


def test_what_a_rung_was_decided_by_holds_when_others_come_in(tmp_path: Path) -> None:
    first = by_labels(tmp_path)
    finish(first)
    states = [trial.state.name for trial in first.ended]
    votes = [row.curve[3]["vote"] for _, (row,) in first.result()]
    more = by_labels(tmp_path, VOTERS + 10)
    finish(more)
    assert [trial.state.name for trial in more.ended][:VOTERS] == states
    assert [row.curve[3]["vote"] for _, (row,) in more.result()][:VOTERS] == votes
    assert how_compared(rows_of(more.result())) == ("vote", VOTERS + 10, 4, "")


def test_a_sampler_is_told_the_votes_once_they_are_there(tmp_path: Path) -> None:
    s = by_labels(tmp_path / "vote", 40)
    finish(s)
    plain = by_labels(tmp_path / "rule", 40)
    plain.rescored = None
    finish(plain)
    own, others = ([point.values for point, _ in each.result()] for each in (s, plain))
    assert own[:VOTERS] == others[:VOTERS] and own[VOTERS:] != others[VOTERS:]
    better = [sum(quality(from_dict(values, TEN)) for values in each[30:]) for each in (own, others)]
    assert better[0] > better[1] + 10  # it goes where the rule would not


def test_searches_that_share_their_runs_choose_as_if_they_were_alone(tmp_path: Path) -> None:
    """What one that goes by masks let go on, one that goes by labels does not hear of, nor the other way round."""
    hows: dict[str, dict[str, Any]] = {"masks": {"objectives": ("miou",)}, "labels": {}}
    alone, trained = {}, []
    for name, how in hows.items():
        finish(by_labels(tmp_path / name, 20, name=name, **how))
        alone[name] = table(by_labels(tmp_path / name, 20, name=name, **how))
    for name, how in hows.items():
        trained += finish(by_labels(tmp_path / "both", 20, name=name, **how))
    assert len(trained) == len(set(trained)) <= 2 * (20 * 4 + 5 * 6) - (10 * 4 + 6)  # ten settings are the same
    assert {name: table(by_labels(tmp_path / "both", 20, name=name, **how)) for name, how in hows.items()} == alone


def test_finished_settings_vote_in_a_search_without_rungs(tmp_path: Path) -> None:
    s = by_labels(tmp_path, 30, stop_early="none", rungs=(), seeds=(0, 1))
    finish(s)
    result = s.result()
    winner = winner_of(result, compared_by(rows_of(result), "border_rule"))
    assert winner and quality(config(winner)) > max(quality(config(point)) for point, _ in result) - 0.5
    assert how_compared(rows_of(result)) == ("vote", 30, END, "")


def test_other_searches_are_left_alone(tmp_path: Path) -> None:
    s = by_labels(tmp_path, objectives=("miou",))
    assert s.judge is None and s.rescored is None


def test_to_compare_opens_ballots_and_no_mask(tmp_path: Path) -> None:
    s = by_labels(tmp_path)
    finish(s)
    again = by_labels(tmp_path)
    with opened_files() as opened:
        assert compared_by(rows_of(again.result()), "border_rule") == "vote"
    names = {Path(path).name for path in opened if path.startswith(str(tmp_path))}
    assert {name for name in names if name.endswith((".npz", ".png"))} == {"ballots.4.npz", "ballots.npz"}


def searched(runs: Path) -> Result:
    s = by_labels(runs)
    finish(s)
    return s.result()


def test_a_race_is_decided_by_the_jury_of_its_search(tmp_path: Path) -> None:
    result = searched(tmp_path)
    racers = tuple(point for point, (row,) in result if not row.stopped)
    race = Race(racers, (100, 101, 102), "vote", OfRace(tmp_path, result))
    done = []
    while stage := race.next(done):
        for point in stage:
            cfg = replace(config(point), seed=point.seeds[0])
            run = f"{len(done) + 1000:012x}"
            leave(RunFolder(tmp_path / run), replace(cfg, seed=0))
            row = Row(run=run, config=to_dict(cfg), metrics={"border_rule": rule(cfg)}, seconds={"train": 1.0})
            save_run(tmp_path, row)
            done.append((point, [row]))
    standings = race.standings(done)
    assert quality(config(standings[0].racer)) == max(quality(config(point)) for point in racers)
    assert len(standings[0].scores) == 3 and all(60 < value <= 100 for value in standings[0].scores.values())
    (row,) = race.with_scores(done)[0][1]
    assert row.metrics["vote"] > 0 and row.stamp["compared_by"]["voters"] == 24


def test_one_that_voted_and_failed_later_is_of_the_jury_of_a_race(tmp_path: Path) -> None:
    s, failed = by_labels(tmp_path), False
    while trial := s.take():
        if trial.until or failed:
            advance(s, trial)
        else:
            failed = True
            (tmp_path / trial.ids[0] / "error.txt").write_text("FloatingPointError: the loss is not finite\n")
        s.finish(trial)
    result = s.result()
    finished = [(point, row) for point, (row,) in result if "vote" in row.metrics]
    again = OfRace(tmp_path, result)
    bare = [(p, replace(row, metrics={"border_rule": row.metrics["border_rule"]})) for p, row in finished]
    assert [again(point, [row])[0].metrics["vote"] for point, row in bare] == [r.metrics["vote"] for _, r in finished]
    assert len(finished) == 5
