"""The last steps: what one row's student becomes outside, a bundle and where asked for a one-logit BERT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tmkd.recipe_parts import Export
from tmkd.runfolder import NotYet, RunFolder
from tmkd.steps import Step


def exporting(run: RunFolder, settings: Export) -> Iterator[Step]:
    """The bundle, checked on the task's test sets, and the one-logit BERT, fitted and checked on its dev set."""
    task, seed = (run.recipe.rows[settings.row].tasks or tuple(run.recipe.tasks))[0], run.recipe.seeds[0]
    try:
        ((student, _),) = run.row_students(settings.row, task, seed)
    except NotYet as unready:
        yield Step("export", "export", run.folder / "bundle", {}, {}, _never, waits=str(unready))
        return

    def bundle(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.export.onnx import export_bundle
        from tmkd.export.parity import check_set

        splits = [f"{task}/{split}" for split in run.recipe.tasks[task].tests]
        checks = [check_set(split.partition("/")[2], run.corpus(split).table()) for split in splits]
        some = _pairs(run.corpus(f"{task}/train").table().slice(0, settings.pairs))
        return {"faults": export_bundle(student, some, checks, folder, settings.force)["faults"]}

    def compat(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.export.compat import export_compat

        dev = run.corpus(f"{task}/dev")
        report = export_compat(
            student, _pairs(dev.table()), dev.table()["group"].to_pylist(), dev.label_array(), folder
        )
        return {"kendall_tau": report["kendall_tau"]}

    needs = {"the student": student, f"collect/{task}": run.corpus_artifact(task)}
    told = {"row": settings.row, "task": task}
    of_bundle = {**told, "force": settings.force, "pairs": settings.pairs}
    yield Step("export/bundle", "export", run.folder / "bundle", needs, of_bundle, bundle)
    if settings.compat:
        yield Step("export/compat", "export", run.folder / "compat", needs, told, compat)


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))


def _never(folder: Path, work: Path) -> dict[str, Any]:
    raise AssertionError("a step that waits is not made")
