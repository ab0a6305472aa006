"""Every script of experiments/ says all that the command line and the page need of it, and a new one is seen."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import experiments
from apc.config import PRESETS, Config, default_of, pocket
from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.catalogue import described, entries, modules_of, pictures, pictures_of, tables_of
from apc.reporting.command import command
from apc.reporting.figures.choose import KINDS
from apc.reporting.page import build
from apc.reporting.table_entry import Best, Claim, TableEntry
from apc.reporting.tables import METRICS
from apc.search.plans import Plan, Point, label_of, points
from apc.search.spaces import first_over
from experiments import reproduce_all, search_joint, table7_pooling, table8_components
from search_spaces import components, joint

FIELDS = {field.name for field in fields(Config)}
TABLE7 = table7_pooling.EXPERIMENT


def plan_of(experiment: Experiment, folder: Path) -> Plan:
    """The plan on the embedded data; where a search is compared, with what both might have chosen."""
    if experiment.plan_of_results:
        for k, name in enumerate(experiment.compares, start=7):
            best = {knob: default_of(knob) for knob in experiment.knobs or ()} | {"k": k, "pooling": "top_k"}
            lines = [f"{knob} = {value!r}" for knob, value in best.items()]
            (folder / name).mkdir()
            (folder / name / "pocket.best.toml").write_text("\n".join(lines))
        return experiment.plan_of_results(folder, "pocket")
    if experiment.plan is None:
        return points(first_over(experiment.first, pocket()))
    return experiment.plan(pocket()) if callable(experiment.plan) else experiment.plan


def faults(experiment: Experiment, folder: Path) -> Iterator[str]:
    """A sentence for each part of an experiment that was forgotten or names what is not there."""
    planned = plan_of(experiment, folder).next([])
    labels = {point.label for point in planned} | set(experiment.measured_rows)
    if not experiment.about:
        yield "about is empty"
    for row in [*experiment.rows, *filter(None, [experiment.reference])]:
        if row not in labels:
            yield f"no run makes the row {row}"
    for claim in experiment.claims:
        yield from (f"{claim.text}: no run makes {row}" for row in (claim.better, claim.worse) if row not in labels)
    claimed = [metric for claim in experiment.claims for metric in claim.metrics]
    for metric in (experiment.metric, *experiment.columns, *experiment.details, *claimed):
        if metric not in METRICS:
            yield f"no run reports {metric}"
    if experiment.printed and not experiment.paper_row and not set(experiment.printed) & labels:
        yield "the paper prints none of its rows"
    yield from (f"there is no figure {kind}" for kind in experiment.figures if kind not in KINDS)
    yield from (f"there is no experiment {name}" for name in experiment.compares if name not in entries())
    for preset in (*experiment.presets, *experiment.seeds, *experiment.minutes):
        if preset not in PRESETS:
            yield f"there is no preset {preset}"
    yield from knob_faults(experiment, planned)


def knob_faults(experiment: Experiment, planned: list[Point]) -> Iterator[str]:
    knobs = (*(experiment.knobs or ()), *experiment.sets, *(best.knob for best in experiment.bests))
    yield from (f"there is no Config field {knob}" for knob in knobs if knob not in FIELDS)
    tried = {name for point in planned for name in point.values}
    values = {name: [point.values.get(name, default_of(name)) for point in planned] for name in tried}
    for name in sorted(tried):
        differs = any(value != values[name][0] for value in values[name])
        if differs and experiment.knobs is not None and name not in experiment.knobs:
            yield f"rows differ in {name}, which is not among its knobs"
        if not differs and values[name][0] != default_of(name) and name not in experiment.sets:
            yield f"all rows set {name}, which is not among what it sets"
    for best in experiment.bests:
        if best.knob in tried and default_of(best.knob) not in values[best.knob]:
            yield f"{best.text}: the paper's {best.knob} is not tried"


EVERY = [entry for entry in entries().values() if isinstance(entry, Experiment)]


@pytest.mark.parametrize("experiment", EVERY, ids=lambda experiment: experiment.name)
def test_an_experiment_forgets_nothing_that_the_page_needs(experiment: Experiment, tmp_path: Path) -> None:
    assert list(faults(experiment, tmp_path)) == []


PLANNED = [experiment for experiment in EVERY if not experiment.plan_of_results]


@pytest.mark.parametrize("experiment", PLANNED, ids=lambda experiment: experiment.name)
def test_the_settings_of_a_smoke_run_go_together(experiment: Experiment, tmp_path: Path) -> None:
    assert main(experiment, ["--smoke", "--dry-run", "--runs", str(tmp_path)]) == 0


UNMADE = Claim("adaptive-K beats nothing", "adaptive_k", "nothing", None, "Table 7")
UNREPORTED = Claim("adaptive-K is worth more", "adaptive_k", "max", None, "Table 7", ("worth",))
ADAPTIVE_K = Best("pooling", "adaptive-K is the best", "Table 7")
FORGOTTEN: list[tuple[dict[str, Any], str]] = [
    ({"about": ""}, "about is empty"),
    ({"rows": ("max", "median")}, "no run makes the row median"),
    ({"reference": "min"}, "no run makes the row min"),
    ({"claims": (UNMADE,)}, "adaptive-K beats nothing: no run makes nothing"),
    ({"claims": (UNREPORTED,)}, "no run reports worth"),
    ({"columns": ("miou", "mioo")}, "no run reports mioo"),
    ({"metric": "score"}, "no run reports score"),
    ({"printed": {"mean": 61.7}}, "the paper prints none of its rows"),
    ({"figures": ("rows", "pie")}, "there is no figure pie"),
    ({"compares": ("search_all",)}, "there is no experiment search_all"),
    ({"presets": ("pokcet",)}, "there is no preset pokcet"),
    ({"minutes": {"pockte": 3}}, "there is no preset pockte"),
    ({"knobs": ("pooling", "lambda3")}, "there is no Config field lambda3"),
    ({"knobs": ()}, "rows differ in pooling, which is not among its knobs"),
    ({"plan": points({"max": {"pooling": "max", "k": 9}, "top_k": {"pooling": "top_k", "k": 9}})}, "all rows set k"),
    (
        {"bests": (Best("pooling", "adaptive-K is best", "Table 7"),), "plan": points({"max": {"pooling": "max"}})},
        "not tri",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), FORGOTTEN, ids=[sentence for _, sentence in FORGOTTEN])
def test_each_forgotten_part_is_named(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    assert any(sentence in fault for fault in faults(replace(TABLE7, **changes), tmp_path))


def test_every_script_is_an_experiment_or_a_picture_under_its_own_name() -> None:
    for name, module in modules_of("experiments").items():
        shown = [*tables_of(module), *pictures_of(module)]
        if name == "reproduce_all":
            assert shown == []
            continue
        assert shown, f"experiments/{name}.py has neither an EXPERIMENT nor STEPS nor a PICTURE"
        for entry in shown:
            script = entry.script if isinstance(entry, TableEntry) and entry.script else entry.name
            assert (script, bool(entry.about)) == (name, True)
    assert all(picture.script in reproduce_all.names() for picture in pictures().values())  # type: ignore[attr-defined]


def test_titles_and_places_are_each_that_of_one() -> None:
    shown = [*entries().values(), *pictures().values()]
    steps = sum(len([*tables_of(module), *pictures_of(module)]) for module in modules_of("experiments").values())
    assert len({entry.title for entry in shown}) == len({entry.place for entry in shown}) == len(shown) >= steps > 0


def test_a_space_with_an_entry_is_described_by_it_and_another_by_its_name() -> None:
    assert described("space_theta_epsilon").figures == ("heat",)
    assert described("space_simple").title == "Search of the space simple"


def test_the_rows_that_are_measured_besides_are_those_that_measuring_makes() -> None:
    planned = components.PLAN.next([])
    table = table8_components.ladder([(point, []) for point in planned], Path(), "")
    assert {point.label for point, _ in table} - {point.label for point in planned} == {"crf"}
    assert table8_components.EXPERIMENT.measured_rows == ("crf",)


def test_the_searches_begin_with_the_papers_setting_which_is_configs() -> None:
    paper = {"pooling": "adaptive_k", "k": 6, "theta": 0.9, "lambda1": 0.02, "lambda2": 0.01, "epsilon": 0.85}
    assert search_joint.JOINT.first == joint.FIRST
    poolings = [{**paper, "pooling": "top_k"}, {**paper, "pooling": "max"}, {**paper, "pooling": "average"}]
    for setting in poolings:
        del setting["theta"]
    del poolings[1]["k"], poolings[2]["k"]
    assert joint.FIRST == (paper, *poolings)
    assert search_joint.JOINT.reference == label_of(paper)
    assert label_of(paper) == "pooling=adaptive_k k=6 theta=0.9 lambda1=0.02 lambda2=0.01 epsilon=0.85"


# --- a new one --------------------------------------------------------------------------------------


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules are modules of `experiments` too."""
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(tmp_path / "more")])
    (tmp_path / "more").mkdir()
    return tmp_path / "more"


def test_a_copied_script_is_found_by_reproduce_all_and_by_the_report(
    scripts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(table7_pooling.__file__).read_text()
    copy = source.replace("table7_pooling", "table7_again").replace('title="Table 7: pooling"', 'title="Mine: pooling"')
    (scripts / "table7_again.py").write_text(copy.replace("place=30", "place=35"))

    assert reproduce_all.names()[1:5] == ["table6_peers", "table7_pooling", "table7_again", "table8_components"]
    place = ["--runs", str(tmp_path / "runs"), "--seeds", "1", "--weights", "", "--dry-run"]
    assert reproduce_all.main([*place, "--only", "table7_again"]) == 0
    assert "table7_again      0      4" in capsys.readouterr().out
    text = build(tmp_path / "reports").read_text()
    assert "- Mine on pocket: `python experiments/table7_again.py`\n" in text
    assert text.index("- Table 7 on pocket") < text.index("- Mine on pocket") < text.index("- Table 8 on pocket")
    assert command(described("table7_again"), "pocket") == "python experiments/table7_again.py"


def test_a_script_that_cannot_be_imported_costs_itself_alone(scripts: Path, tmp_path: Path) -> None:
    (scripts / "half_written.py").write_text("EXPERIMENT = Experiment(\n")
    with pytest.warns(UserWarning, match=r"experiments/half_written\.py is left out: SyntaxError"):
        assert "half_written" not in reproduce_all.names()
    assert "- Table 7 on pocket" in build(tmp_path / "reports").read_text()
