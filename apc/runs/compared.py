"""How a search by the vote compared its settings, as their rows say it: by the vote of all, or by `border_rule`."""

from collections.abc import Iterable
from typing import NamedTuple

from apc.runs.rows import Row
from apc.runs.scores import CHOOSERS

RULE, VOTE = CHOOSERS["vote"], "vote"
"""What a search by the vote goes by where there is none, and which is the weight of one; and the vote."""
VOTERS = 24
"""Settings with a ballot from which on there is a vote, those of no weight counted (docs/explanation/selection.md, "The
vote")."""
END = 0
"""Instead of an epoch: of finished settings."""
_STAMP = "compared_by"
"""In the stamp of a row: Compared, as a mapping."""


class Compared(NamedTuple):
    """How settings were compared."""

    score: str
    """`vote` or `border_rule`."""
    voters: int
    """Settings that can vote."""
    epoch: int = END
    """After which they were as they vote; END: finished."""
    why: str = ""
    """Why there is no vote."""

    @property
    def told(self) -> str:
        """`the vote of 24 settings, as they were after epoch 4`"""
        if self.score != VOTE:
            return f"{self.score}, for {self.why}"
        return f"the vote of {self.voters} settings" + (
            f", as they were after epoch {self.epoch}" if self.epoch else ""
        )

    @property
    def stamp(self) -> dict[str, object]:
        """What a row's stamp says of it."""
        return {_STAMP: self._asdict()}


def compared_by(rows: Iterable[Row], metric: str) -> str:
    """The score by which settings were compared, of the rows of a search that goes by `metric`: the vote in place of
    `border_rule`, where there was one. A setting of which a seed failed has no vote, and so no score."""
    return VOTE if metric == RULE and any(VOTE in row.metrics for row in rows) else metric


def how_compared(rows: Iterable[Row]) -> Compared | None:
    """How a search compared the settings of these rows; None of one that does not go by the vote, or finished none. Of
    rows of several calls the vote, where there was one, as of compared_by."""
    stamps = [row.stamp.get(_STAMP) for row in rows if _objective(row) in (RULE, None)]
    found = [Compared(**stamp) for stamp in stamps if isinstance(stamp, dict) and stamp.keys() == {*Compared._fields}]
    return next((each for each in found if each.score == VOTE), found[0] if found else None)


def _objective(row: Row) -> object:
    """The score that a row's search compared settings by, as it is stamped; None where it is not."""
    search = row.stamp.get("search")
    objectives = search.get("objectives") if isinstance(search, dict) else None
    return objectives[0] if isinstance(objectives, list) and objectives else None
