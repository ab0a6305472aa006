"""The thresholds theta (adaptive-K) and epsilon (patch contrastive error) over a grid; Figure 4 is its two lines."""

from apc.config import default_of
from apc.reporting.table_entry import TableEntry
from apc.search.plans import grid, label_of, points

PAPER = {knob: default_of(knob) for knob in ("theta", "epsilon")}
"""The paper's choice."""
THETAS = (0.5, 0.6, 0.7, 0.8, PAPER["theta"], 0.95, 1.0)
"""Algorithm 1 with theta up to 0.5 is top-K pooling, with 1 it is max pooling: these are all there is."""
EPSILONS = (0.6, 0.7, 0.8, PAPER["epsilon"], 0.9, 0.95)
"""Below 0.5 a patch would be of high and of low confidence at once (Eq. 6)."""

LINES = points(
    [
        *({"theta": theta, "epsilon": PAPER["epsilon"]} for theta in THETAS),
        *({"theta": PAPER["theta"], "epsilon": epsilon} for epsilon in EPSILONS if epsilon != PAPER["epsilon"]),
    ]
)
"""Figure 4: theta at the paper's epsilon, epsilon at the paper's theta."""

PLAN = grid({"theta": (0.7, 0.8, PAPER["theta"], 0.95), "epsilon": (0.6, 0.7, PAPER["epsilon"], 0.95)})
"""Both together, for a heat map; it has 7 of its 16 settings in common with Figure 4."""

ENTRY = TableEntry(
    name="space_theta_epsilon",
    title="The thresholds theta and epsilon together",
    about="A grid of both, for what Figure 4's two lines cannot show: whether the best of one depends on the "
    "other. The paper has no such figure.",
    place=110,
    presets=("pocket",),
    knobs=("theta", "epsilon"),
    reference=label_of(PAPER),
    search=True,
    figures=("heat",),
)
