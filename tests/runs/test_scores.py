"""Protocols: a name tells what was scored, and no two share one."""

import pytest

from apc.config import pocket
from apc.models.crf import CRF
from apc.runs.protocols import DEFAULT_SCALES, HEADLINE, PROTOCOLS, Protocol, combinations, parse
from apc.runs.scores import (
    CHOOSERS,
    IN_CURVES,
    LABEL_SCORES,
    LOWER_IS_BETTER,
    SCORES,
    curve_score,
    in_a_line,
    scores_of,
)

EVERY = combinations(
    sizes=(0, 64, 960),
    keep_aspect=(False, True),
    scales=((), (1.0,), (0.5, 1.0), (0.5, 0.75, 1.0, 1.25, 1.5)),
    crf=("", "own", *CRF),
    combine=("mean", "max"),
)


def test_the_names_that_stand_in_rows_stay() -> None:
    assert [p.name for p in PROTOCOLS] == [
        "miou",
        "miou_crf",
        "patch_miou",
        "patch_miou_crf",
        "labelled_miou",
        "labelled_miou_crf",
        "pseudo_miou",
        "pseudo_miou_crf",
    ]
    assert [p.name for p in HEADLINE] == ["miou"]


def test_a_name_tells_its_protocol_and_no_two_protocols_share_one() -> None:
    assert len({p.name for p in EVERY}) == len(EVERY) == (4 * 4 + 2 * 3) * 3 * 2 * 9
    assert all(parse(p.name) == p for p in EVERY)
    assert parse("miou_960_keep_ms_crf").name == "miou_960_keep_ms_crf"
    ours = Protocol("patch", True, 640, True, (0.5, 1.5), "vit_pcm")
    peers = Protocol(size=512, keep_aspect=True, scales=(0.5, 0.75, 1), crf="afa", combine="max")
    assert peers.name == "miou_512_keep_max_50_75_100_crf_afa" and parse(peers.name) == peers
    assert parse("labelled_miou_max") == Protocol(image_labels=True, scales=DEFAULT_SCALES, combine="max")
    assert ours.name == "pseudo_miou_640_keep_ms_50_150_crf_vit_pcm" and parse(ours.name) == ours


def test_a_protocol_is_told_in_words() -> None:
    assert parse("miou").meaning == "decoder, no image labels"
    told = "patch branch, image labels given, long side 960 pixels, aspect kept, mean over the scales 0.5 1 and flips"
    assert parse("pseudo_miou_960_keep_ms_50_100_crf_afa").meaning == f"{told}, dense CRF (afa)"
    assert (
        parse("miou_max_100_125").meaning == "decoder, no image labels, greatest logits of the scales 1 1.25 and flips"
    )


@pytest.mark.parametrize(
    "name",
    ["test_miou", "miou_", "miou_keep_960", "patch_miou_max", "miou_max_ms", "miou_crf_ms", "miou_crf_best", "miou_0"],
)
def test_other_words_name_no_protocol(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r} names no protocol|crf is '(best|ms)'"):
        parse(name)


@pytest.mark.parametrize("scales", [(1.0, 0.5), (0.5, 0.5), (0.333,), (0.01, 1.0), (9.0,)])
def test_scales_that_a_name_could_not_tell_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="multi_scale is"):
        Protocol(scales=scales)


def test_every_score_that_a_run_reports_has_a_meaning() -> None:
    assert set(scores_of(pocket())) <= set(SCORES)
    assert {p.name for p in PROTOCOLS} <= set(SCORES)
    assert all(SCORES[name].in_rows for name in scores_of(pocket()))


def test_a_search_lowers_times_and_raises_scores() -> None:
    assert LOWER_IS_BETTER == ("pooled_ce", "entropy", "train_seconds", "train_cpu_seconds")
    assert {SCORES[name].unit for name in scores_of(pocket())} == {"%", "1/100"}


def test_epochs_report_the_decoders_score_and_its_two_halves_and_what_needs_neither_mask_nor_crf() -> None:
    assert IN_CURVES[:3] == ("miou", "tune_miou", "held_miou")
    assert set(IN_CURVES[3:]) == {name for name in LABEL_SCORES if "crf" not in name and name != "vote"}


def test_a_search_by_labels_compares_epochs_by_the_rule_and_other_searches_by_miou() -> None:
    assert [curve_score(name) for name in CHOOSERS.values()] == ["miou", "tune_miou", "branch_rule", "border_rule"]
    assert curve_score("label_f1_crf") == curve_score("train_seconds") == "miou"


def test_a_terminal_shows_a_protocol_in_its_own_words() -> None:
    assert in_a_line("miou_960_crf") == "decoder, no image labels, squashed to 960 pixels, dense CRF"
    assert in_a_line("recall") == "decoder: share of the things' pixels that are found"
    assert in_a_line("loss") == ""
