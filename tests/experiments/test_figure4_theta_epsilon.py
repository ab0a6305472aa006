"""The settings of Figure 4."""

from apc.search.plans import Points
from experiments import figure4_theta_epsilon
from search_spaces import theta_epsilon


def test_figure_4_varies_one_threshold_at_a_time_around_the_papers() -> None:
    plan = figure4_theta_epsilon.EXPERIMENT.plan
    assert isinstance(plan, Points)
    settings = [(point.values["theta"], point.values["epsilon"]) for point in plan.next([])]
    assert len(settings) == len(set(settings)) == len(theta_epsilon.THETAS) + len(theta_epsilon.EPSILONS) - 1
    assert all(theta == 0.9 or epsilon == 0.85 for theta, epsilon in settings)
    assert min(settings)[0] == 0.5 and max(settings)[0] == 1.0
