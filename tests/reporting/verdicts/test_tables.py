"""Verdicts as text: how many claims came out how."""

from typing import Any

from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.judging import judge
from apc.reporting.verdicts.tables import counted

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


def test_questions_of_our_own_are_no_claims_of_the_paper_and_a_second_metric_is_not_counted_again() -> None:
    claims = [judged(HIGH, LOW), judged(HIGH, LOW, counts=False), judged(LOW, HIGH, ours=True)]
    assert counted(claims) == (
        "1 reproduced, 0 contradicted, 0 undecided, 0 pending, of 1 claims of the paper. "
        "Our own questions: 0 confirmed, 1 refuted, 0 undecided, 0 pending."
    )
