"""Lines of a report's notes on test sets whose source a pretrained model of some rows was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tmkd.evaluate.results import Result, distinct


def seen_lines(results: Sequence[Result]) -> Iterator[str]:
    """One line per task and pretrained model: the test sets whose source it has seen, the rows that it takes part in.

    These rows are on home ground there, and do not compare with rows that are not.
    """
    for task, model in distinct((one.task, model) for one in results for model in one.seen):
        own = [one for one in results if one.task == task and model in one.seen]
        sets, rows = (", ".join(distinct(names)) for names in ((one.split for one in own), (one.row for one in own)))
        yield f"{task}: {model} was trained on the source of {sets}; it takes part in {rows}"
