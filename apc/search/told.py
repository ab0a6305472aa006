"""What is searched, in a sentence: the knobs of a space or of a plan, for the help of its command."""

from apc.search.plans import Plan, Points
from apc.search.spaces import Above, Choice, Real, Space, Whole


def space_told(space: Space) -> str:
    """`pooling (max or top_k); k (2 to 12, where pooling is top_k)`"""
    return "; ".join(f"{name} ({', '.join(_knob_told(knob))})" for name, knob in space.items())


def plan_told(plan: Plan) -> str:
    """`theta, epsilon: 16 settings`, or `1 setting` where nothing varies"""
    count = f"{plan.max_points}" if isinstance(plan, Points) else f"in stages, at most {plan.max_points}"
    knobs = f"{', '.join(plan.knobs)}: " if plan.knobs else ""
    return f"{knobs}{count} setting{'s' * (plan.max_points != 1)}"


def _knob_told(knob: Real | Whole | Choice) -> list[str]:
    """What a knob may be, and where it exists."""
    if isinstance(knob, Choice):
        told = [" or ".join(map(str, knob.values))]
    else:
        step = "" if isinstance(knob, Whole) or knob.step is None else f" in steps of {knob.step:g}"
        told = [f"{knob.low:g} to {knob.high:g}{step}{' on a logarithmic scale' if knob.log else ''}"]
    for other, wanted in knob.when.items():
        value = f"above {wanted.low:g}" if isinstance(wanted, Above) else " or ".join(map(str, wanted))
        told.append(f"where {other} is {value}")
    return told
