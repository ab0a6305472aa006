"""What runs cost: the hours of the cores, or of the GPUs, that they hold, and at a price the money."""

from typing import NamedTuple


class Costs(NamedTuple):
    """What an hour of one run costs."""

    unit: str
    """What counts: `core`, or `GPU` where a run has any."""
    held: float
    """How many of them a run holds."""
    price: float | None = None
    """Money an hour of one of them costs, in any currency; None: nothing is said of it."""

    def told(self, low: float, high: float | None = None) -> str:
        """Seconds of single runs, or an interval of them, as hours and money: `1.00 to 2.00 core-hours (0.05 to 0.10 at
        0.05 a core-hour)`."""
        money = "" if self.price is None else f" ({self.money(low, high)} at {self.price:g} a {self.unit}-hour)"
        return f"{self.hours(low, high)} {self.unit}-hours{money}"

    def hours(self, low: float, high: float | None = None) -> str:
        """The number of hours alone."""
        return _span(*(self.held * seconds / 3600 for seconds in (low, low if high is None else high)))

    def money(self, low: float, high: float | None = None) -> str:
        """The sum alone."""
        assert self.price is not None
        each = self.price * self.held / 3600
        return _span(*(each * seconds for seconds in (low, low if high is None else high)))


def costs(cores: int, gpus: float, price: float | None = None) -> Costs:
    """What a run costs that holds so many cores and GPUs; its GPUs alone count where it has any."""
    return Costs("GPU", gpus, price) if gpus else Costs("core", cores, price)


def _span(low: float, high: float) -> str:
    texts = [f"{number:.2f}" for number in (low, high)]
    return " to ".join(dict.fromkeys(texts))
