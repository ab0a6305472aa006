"""Names of files and of rows, as a page has them."""

from apc.reporting.names import file_name, for_people


def test_only_a_name_that_a_link_cannot_have_is_changed_and_two_of_them_never_share_a_file() -> None:
    assert file_name("table7_pooling", "my-photos") == "table7_pooling.my-photos"
    spoilt = [file_name("table7_pooling", name) for name in ("my photos", "my  photos", "my/photos")]
    assert all(name.startswith("table7_pooling.my-photos-") for name in spoilt) and len(set(spoilt)) == 3
    assert len(spoilt[0]) == len("table7_pooling.my-photos-123456")


def test_scores_and_times_in_a_sentence_are_put_into_words_and_nothing_else() -> None:
    told = for_people("`held_miou` and `to_95_seconds` by `branch_rule`, not `miou_of_mine` at `k`")
    assert told == "mIoU of the held-out half and seconds to 95 % by branch rule, not `miou_of_mine` at `k`"
