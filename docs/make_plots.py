"""Write docs/plots/*.svg: accuracies, accuracy against speed, and Figures 2 and 3, from the finished rows in results/.

`make plots`, after new fragments. Each drawing is one of `tmkd report` or `tmkd paper`, on white paper.
"""

from __future__ import annotations

from pathlib import Path

from tmkd.flow.studies import studies
from tmkd.report.figures import accuracy_per_row
from tmkd.report.paper_cells import columns_of
from tmkd.report.paper_sections import against_speed, figure_2, figure_3
from tmkd.report.paper_speed import timed
from tmkd.report.paper_tables import FIGURE_2, FIGURE_3

ROOT = Path(__file__).resolve().parents[1]
RESULTS = [ROOT / "results" / "paper-small", ROOT / "results" / "webqa_gpu"]
PLOTS = Path(__file__).with_name("plots")


def plots() -> dict[str, str]:
    """SVG text of each plot by its name; a task's accuracies have the name of study and task."""
    found = studies(RESULTS)
    drawings = {f"{study.name}-{task.name}": accuracy_per_row(task.results) for study in found for task in study.tasks}
    *_, (_, figure_2_ours) = figure_2(columns_of(FIGURE_2, found))
    *_, (_, figure_3_ours) = figure_3(columns_of(FIGURE_3, found))
    drawings |= {"figure-2": figure_2_ours, "figure-3": figure_3_ours}
    drawings |= {f"speed-{number}": drawing for number, (_, drawing) in enumerate(against_speed(timed(found)), start=1)}
    # In a page the drawing takes the page's width and ground; as a file it has its own.
    return {
        name: drawing.replace("<svg", '<svg width="720" style="background: white"', 1) + "\n"
        for name, drawing in drawings.items()
    }


if __name__ == "__main__":
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    for name, text in plots().items():
        (PLOTS / f"{name}.svg").write_text(text, encoding="utf-8")
