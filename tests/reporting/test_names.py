"""Names of files and of rows, as a page has them."""

from apc.reporting.names import file_name


def test_only_a_name_that_a_link_cannot_have_is_changed_and_two_of_them_never_share_a_file() -> None:
    assert file_name("table7_pooling", "my-photos") == "table7_pooling.my-photos"
    spoilt = [file_name("table7_pooling", name) for name in ("my photos", "my  photos", "my/photos")]
    assert all(name.startswith("table7_pooling.my-photos-") for name in spoilt) and len(set(spoilt)) == 3
    assert len(spoilt[0]) == len("table7_pooling.my-photos-123456")
