"""Verdicts as text: how many claims came out how."""

from typing import Any

from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.judging import judge, judge_best
from apc.reporting.verdicts.sizes import size
from apc.reporting.verdicts.tables import counted, summary_table, verdict_table

LOW, HIGH = {0: 10.0, 1: 11.0, 2: 12.0}, {0: 20.0, 1: 21.5, 2: 22.0}


def judged(better: dict[int, float], worse: dict[int, float], **fields: Any) -> Judged:
    named = {"title": "Table 7", "claim": "a beats b", "metric": "miou", "paper": "+1.0 (Table 7)"} | fields
    return Judged(verdict=judge(better, worse), **named)


def test_claims_of_the_paper_are_counted_by_their_outcomes_and_the_contradicted_are_named() -> None:
    claims = [
        judged(HIGH, LOW),
        judged(LOW, HIGH, claim="max beats average"),
        judged({0: 1.0}, {0: 2.0}),
        judged(LOW, {}),
        judged(LOW, {}),
    ]
    assert counted(claims) == (
        "1 reproduced, 1 contradicted, 1 undecided (1 of them with one seed), 2 pending, of 5 claims of the paper. "
        "**Contradicted: max beats average (`miou`).**"
    )


def test_the_summary_says_how_many_seeds_a_claim_wants_or_would_be_decided_by() -> None:
    two = {0: 20.0, 1: 20.01}, {0: 10.0, 1: 10.0}
    level = dict(enumerate((1.0, -1.0) * 20))  # of ±1, with nothing between them
    claims = [
        Judged(title="T", claim=claim, metric="miou", paper="", verdict=verdict)
        for claim, verdict in (
            ("wants", judge(*two, fewest=3)),
            ("wants three", judge_best("a", {"a": two[0], "b": two[1]}, fewest=5)),
            ("open", judge({0: 11.0, 1: 12.0, 2: 13.0}, {0: 10.0, 1: 10.0, 2: 14.0})),
            ("never", judge({s: v + 0.001 * s for s, v in level.items()}, dict.fromkeys(level, 0.0))),
            ("the same", judge({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})),
        )
    ]
    lines = [line.split("|") for line in summary_table(claims, {}).splitlines()[2:]]
    assert {line[2].strip(): line[-2].strip() for line in lines} == {
        "wants": "wants 1 more seed first",
        "wants three": "wants 3 more seeds first",
        "open": "at least 5 more seeds",
        "never": "over 100 more seeds",
        "the same": "",
    }


def test_questions_of_our_own_are_no_claims_of_the_paper_and_a_second_metric_is_not_counted_again() -> None:
    claims = [judged(HIGH, LOW), judged(HIGH, LOW, counts=False), judged(LOW, HIGH, ours=True)]
    assert counted(claims) == (
        "1 reproduced, 0 contradicted, 0 undecided, 0 pending, of 1 claims of the paper. "
        "Our own questions: 0 confirmed, 1 refuted, 0 undecided, 0 pending."
    )


def test_a_claim_that_holds_in_direction_and_not_in_size_is_counted_as_refuted_in_size_and_told_in_its_remark() -> None:
    verdict = judge(HIGH, LOW)  # by 10.2 [9.5, 10.9]
    printed = {printed: size(verdict.difference, printed, "miou") for printed in (12.0, 40.0)}
    claims = [judged(HIGH, LOW, size=printed[12.0]), judged(HIGH, LOW, claim="a beats c", size=printed[40.0])]
    assert counted(claims) == (
        "2 reproduced, 0 contradicted, 0 undecided, 0 pending, of 2 claims of the paper. "
        "Refuted in size (below half of the printed difference): 1 more: a beats c."
    )
    (table,) = verdict_table(claims)
    assert "0.85 [0.79, 0.91] of the printed: at least half of it; 3 of 3 seeds agree in sign with the mean" in table
    assert "0.25 [0.24, 0.27] of the printed: smaller than half of it" in table
