"""Times of training: to 95 % of a run's own score, by which clock, and the paper's claims about them."""

from dataclasses import replace
from pathlib import Path

from report_rows import a_row, cells, page


def test_claims_about_time_are_the_papers_in_seconds_and_its_hours(tmp_path: Path) -> None:
    rows = [
        replace(a_row(label, s, 40.0), seconds={"train": 60.0, "train_cpu": seconds + s * (1 + len(label) / 10)})
        for label, seconds in (("baseline", 50.0), ("akp", 40.0), ("akp_pcl", 44.0))
        for s in range(3)
    ]
    for row in rows:
        row.curve = [{"epoch": 1, "seconds": 60.0, "cpu_seconds": row.seconds["train_cpu"]}]
        row.config |= {"eval_every": 1}
    text = page(tmp_path, "table5_efficiency", rows)
    summary_line = next(line for line in text.splitlines() if line.startswith("| Table 5") and "PCL saves time" in line)
    told = [cell.strip() for cell in summary_line.strip("|").split("|")]
    assert told[2:4] == ["+1.5 h", "`to_95_cpu_seconds`"] and told[4].startswith("−4.4 s [") and "(n=3)" in told[4]
    assert told[5] == "**contradicted**" and "`train_cpu_seconds` −4.4 s" in told[6]
    assert "1 reproduced, 1 contradicted, 0 undecided, 24 pending, of 26 claims of the paper." in text
    assert cells(text, "akp_pcl")[-1] == "1.5 ± 0.5" and "seconds saved" in text
