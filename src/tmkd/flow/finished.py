"""Rows that were finished on another machine or day: a run takes their fragments and makes the others."""

from __future__ import annotations

from pathlib import Path

from tmkd.distill.selection import PlacedRow, Selection, placed_rows, selection_of
from tmkd.errors import TmkdError
from tmkd.evaluate.results import Kind
from tmkd.flow.best_teacher import NotYet
from tmkd.flow.checkout import commit_of
from tmkd.flow.fragments import recipe_digests, results_folder, row_part
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.agreement import FRAGMENT
from tmkd.recipe.seeds import seeded
from tmkd.report.report_json import Report
from tmkd.report.row_fragment import ROWS, RowFragment, read_row
from tmkd.store import read_manifest

Key = tuple[Kind, str, str, int, int]  # kind, row, task, seed, teachers' seed
Finished = dict[Key, RowFragment]


def left_to_make(run: RunFolder) -> Selection | None:
    """Select the rows that are made in spite of the recipe's folder of fragments; None where it has none of them.

    A row is taken from its fragment if the same parts of the recipe made it, unless its students lie in the run folder.
    Raises: TmkdError when other rows are left to be made by another commit, for they could not be joined.
    """
    if run.asked.fragments is None:
        return None
    finished = _read(run, _folder(run))
    placed = [one for part in run.replicates for one in placed_rows(part.recipe, part.teachers_seed)]
    wanted = [one for one in placed if run.only is None or one in run.only.rows]
    rows = [one for one in wanted if ("student", *one) not in finished or _is_here(run, one)]
    taken = len(rows) < len(wanted)
    teachers = [name for name in run.asked.teachers if run.only is None or name in run.only.teachers]
    beside = [name for name in teachers if not _is_finished(run, name, finished)]
    commit = commit_of(run.recipe_base, results_folder(run.folder))
    other = next((one.origin.commit for one in finished.values() if one.origin.commit != commit), None)
    # Where none is taken, the run folder has them all: those that it has not yet would be of this checkout.
    new = rows or beside if taken else [one for one in rows if not _is_here(run, one)]
    if other is not None and new:
        raise TmkdError(
            f"{_folder(run)}: its rows are of commit {other}, and this checkout has {commit}: they could not be joined "
            "with rows made here; check that commit out, or make all rows here: --set fragments=null"
        )
    if not taken:
        return None
    return selection_of(run.asked, rows, beside, finished=True)


def join_finished(run: RunFolder) -> Report:
    """Join the fragments of this run with those of the recipe's folder; of a row in both this run's is taken."""
    from tmkd.flow.join import join_rows, read_rows

    own, kept = results_folder(run.folder), _folder(run)
    here = [*read_rows(own)] if (own / ROWS).is_dir() else []
    known = {_key(one.row) for one in here}
    return join_rows([*here, *(one for one in read_rows(kept) if _key(one.row) not in known)])


def _folder(run: RunFolder) -> Path:
    return run.recipe_base / Path(run.asked.fragments or "").expanduser()


def _read(run: RunFolder, folder: Path) -> Finished:
    """Fragments of the students and teachers that this recipe describes."""
    found: Finished = {}
    for path in sorted((folder / ROWS).glob(f"*{FRAGMENT}")):
        row, _ = read_row(path)
        one = row.first
        now, part = recipe_digests(run, one.row, one.task), row_part(one.row, one.task)
        same = all(now.get(name, digest) == digest for name, digest in row.recipe.items())
        if same and (part in now) == (part in row.recipe):  # other parts may have come or gone
            found[_key(row)] = row
    return found


def _key(row: RowFragment) -> Key:
    one = row.first
    return one.kind, one.row, one.task, one.seed, one.teachers_seed


def _is_here(run: RunFolder, placed: PlacedRow) -> bool:
    """Whether the students of a row lie in the run folder."""
    part = next(part for part in run.replicates if part.teachers_seed == placed.teachers_seed)
    try:
        students = part.row_students(placed.row, placed.task, placed.seed)
    except NotYet:
        return False
    return all(read_manifest(folder) is not None for folder, _ in students)


def _is_finished(run: RunFolder, name: str, finished: Finished) -> bool:
    """Whether a teacher has a fragment with each teachers' seed, and does not lie in the run folder.

    One whose scores were made elsewhere has no row of its own.
    """
    if run.asked.teachers[name].file is not None:
        return True
    for part in run.replicates:
        own = name if name in part.recipe.teachers else seeded(name, part.teachers_seed)
        spec = part.recipe.teachers[own]
        if ("teacher", name, spec.task, spec.seed, part.teachers_seed) not in finished:
            return False
        if read_manifest(part.teacher_folder(own)) is not None:
            return False
    return True
