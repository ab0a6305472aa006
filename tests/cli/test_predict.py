"""The verb `apc predict`."""

import pytest

from apc.cli.main import main


def test_help_tells_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--help"])
    told = capsys.readouterr().out
    assert stop.value.code == 0 and "usage: apc predict" in told and "--labels" in told
