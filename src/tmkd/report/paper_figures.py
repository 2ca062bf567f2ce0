"""Figures 2 and 3 as inline SVG: accuracy of TKD, MKD and TMKD by data set; accuracy by α."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmkd.report.figures import INK, KIND_COLOURS, MUTED, drawing, svg
from tmkd.report.formatting import percent

# One colour of the page's theme for each of the models or lines; a seventh line is dashed.
_COLOURS = [KIND_COLOURS[kind] for kind in ("ensemble", "bundle", "student", "teacher", "yardstick")] + [INK]
Spread = tuple[float, float | None]  # accuracy in [0, 1], and its standard deviation over seeds


def accuracies_by_set(models: Sequence[str], values: Mapping[str, Mapping[str, Spread]], name: str, title: str) -> str:
    """Accuracy (%) of at most six models (inner key) on each data set (outer key), a colour each, as SVG text.

    `name` begins the drawing's ids.
    """
    colours = dict(zip(models, _COLOURS, strict=False))
    with drawing(0.7 + 0.24 * sum(len(one) + 1 for one in values.values())) as (figure, axes):
        place, ticks = 0.0, []
        for of_set in values.values():
            first = place
            for model, (accuracy, deviation) in of_set.items():
                right = 100 * (accuracy + (deviation or 0))
                xerr = None if deviation is None else 100 * deviation
                axes.errorbar(100 * accuracy, place, xerr=xerr, fmt="o", ms=7, capsize=3, color=colours[model])
                shown = f"{model} {percent(accuracy)}"
                axes.annotate(
                    shown, (right, place), xytext=(8, 0), textcoords="offset points", va="center", color=colours[model]
                )
                place += 1
            ticks.append((first + place - 1) / 2)
            place += 0.7
        axes.set_yticks(ticks, list(values))
        axes.set_ylim(place - 1, -0.8)
        axes.margins(x=0.22)
        axes.grid(axis="x")
        axes.set_xlabel("accuracy (%)")
        return svg(figure, name, title)


def accuracy_by_alpha(lines: Mapping[str, Mapping[float, Spread]], best: float, name: str) -> str:
    """Points of accuracy against the accuracy at α = `best`, for each α of each task, as SVG text.

    A task without a row at `best` is compared with its first α. `name` begins the drawing's ids.
    """
    with drawing(3.6) as (figure, axes):
        axes.axhline(0, color=MUTED, lw=1, ls="--")
        for number, (task, by_alpha) in enumerate(lines.items()):
            base = by_alpha[best if best in by_alpha else min(by_alpha)][0]
            alphas = sorted(by_alpha)
            heights = [100 * (by_alpha[alpha][0] - base) for alpha in alphas]
            errors = [100 * (by_alpha[alpha][1] or 0) for alpha in alphas]
            style = "-" if number < len(_COLOURS) else "--"
            axes.errorbar(
                alphas,
                heights,
                yerr=errors,
                fmt=f"o{style}",
                ms=6,
                capsize=3,
                color=_COLOURS[number % len(_COLOURS)],
                label=task,
            )
        axes.set_xticks([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
        axes.grid()
        axes.set_xlabel("α")
        axes.set_ylabel(f"points above α = {best}")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return svg(figure, name, "Accuracy by α")
