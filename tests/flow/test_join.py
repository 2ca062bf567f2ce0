"""Fragments of several machines joined: every row and seed once, speeds apart, all else refused with its names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from row_fragments import ORIGIN, row_fragment, written
from tmkd.errors import TmkdError
from tmkd.evaluate.results import Kind
from tmkd.flow.join import join
from tmkd.report.row_fragment import RowFragment


def folders(tmp_path: Path, *machines: list[RowFragment]) -> list[Path]:
    """A folder of results for each machine."""
    found = []
    for number, rows in enumerate(machines):
        found.append(tmp_path / f"machine{number + 1}")
        for row in rows:
            written(found[-1], row)
    return found


def of_kind(fragment: RowFragment, kind: Kind, row: str) -> RowFragment:
    return replace(fragment, results=tuple(replace(one, kind=kind, row=row) for one in fragment.results))


def test_rows_and_seeds_of_two_machines_are_one_report(tmp_path: Path) -> None:
    later = replace(ORIGIN, machine="other machine", date="2026-11-03")
    here = [row_fragment(seed=2), row_fragment("bert-3", place=1)]
    there = [
        row_fragment(seed=1, machine="other machine", origin=later),
        of_kind(row_fragment(seed=9), "teacher", "t1"),
    ]
    report = join(folders(tmp_path, here, there))
    assert [(one.row, one.seed) for one in report.results] == [("t1", 9), ("tmkd", 1), ("tmkd", 2), ("bert-3", 1)]
    assert (report.name, report.seeds) == ("tiny", (1, 2))
    assert report.date == "2026-11-01 to 2026-11-03"
    assert report.machine == "one machine; other machine"
    told = {(one.row, one.other): (one.seeds, one.other_seeds) for one in report.comparisons}
    assert told["tmkd", "bert-3"] == (1, 1)  # the seed that both have
    assert report.notes[:2] == (
        "one machine, 2026-11-01, commit c0ffee, torch 2: t1 (seed 9), tmkd (seed 2), bert-3 (seed 1)",
        "other machine, 2026-11-03, commit c0ffee, torch 2: tmkd (seed 1)",
    )


def test_rows_keep_their_order_where_a_machine_made_few_of_them(tmp_path: Path) -> None:
    here = [row_fragment("tmkd", place=5), row_fragment("bert-3", place=2)]
    there = [row_fragment("tmkd", 2, place=0), row_fragment("tkd", 2, place=1)]
    report = join(folders(tmp_path, here, there))
    assert [(one.row, one.seed) for one in report.results] == [("tkd", 2), ("bert-3", 1), ("tmkd", 1), ("tmkd", 2)]


def test_a_set_whose_source_a_model_has_seen_is_named(tmp_path: Path) -> None:
    row = row_fragment("tmkd")
    seen = replace(row, results=tuple(replace(one, seen=("bert",)) for one in row.results))
    told = "toy: bert was trained on the source of test; it takes part in tmkd"
    assert told in join(folders(tmp_path, [seen, row_fragment("bert-3", place=1)])).notes
    unseen = join(folders(tmp_path / "unseen", [row, row_fragment("bert-3", place=1)]))
    assert not [note for note in unseen.notes if "source" in note]


def test_tasks_keep_the_recipes_order(tmp_path: Path) -> None:
    first = row_fragment(task_place=0)
    later = row_fragment("bert-3", task_place=1)
    later = replace(later, results=tuple(replace(one, task="any") for one in later.results))
    yardstick = of_kind(later, "yardstick", "bm25")
    assert [one.task for one in join(folders(tmp_path, [later, yardstick, first])).results] == ["toy", "any", "any"]


def test_speeds_of_two_machines_are_not_mixed(tmp_path: Path) -> None:
    one, other = row_fragment(seed=1), row_fragment(seed=2, machine="other machine")
    report = join(folders(tmp_path, [one], [other]))
    assert [result.pairs_per_second for result in report.results] == [None, None]
    assert list(report.speeds) == ["tmkd (one machine)", "tmkd (other machine)"]
    alone = join(folders(tmp_path / "alone", [one, row_fragment("bert-3", speed=None)]))
    assert [result.pairs_per_second for result in alone.results] == [5.0, 5.0]
    assert list(alone.speeds) == ["tmkd"]


def timed(fragment: RowFragment, time: str) -> RowFragment:
    assert fragment.speed is not None
    return replace(fragment, speed=replace(fragment.speed, timed=time))


def test_speeds_of_two_measurements_on_one_machine_are_not_mixed(tmp_path: Path) -> None:
    teacher = of_kind(row_fragment(), "teacher", "t1")
    rows = [timed(teacher, "noon"), timed(row_fragment(), "morning"), timed(row_fragment("bert-3", place=1), "noon")]
    report = join(folders(tmp_path, rows))
    assert {result.pairs_per_second for result in report.results} == {None}
    names = ["t1 (one machine, noon)", "tmkd (one machine, morning)", "bert-3 (one machine, noon)"]
    assert list(report.speeds) == names
    assert any("speeds are of several measurements" in note for note in report.notes)
    alone = join(folders(tmp_path / "alone", [rows[0], rows[2]]))
    assert list(alone.speeds) == ["t1", "bert-3"]
    assert not [note for note in alone.notes if "several measurements" in note]


def test_two_tasks_timed_at_two_times_keep_their_speeds(tmp_path: Path) -> None:
    other = row_fragment("bert-3", task_place=1)
    other = replace(other, results=tuple(replace(one, task="any") for one in other.results))
    report = join(folders(tmp_path, [timed(row_fragment(), "morning"), timed(other, "noon")]))
    assert [result.pairs_per_second for result in report.results] == [5.0, 5.0]
    assert list(report.speeds) == ["toy: tmkd", "any: bert-3"]


def test_the_same_fragment_in_two_folders_is_one_row(tmp_path: Path) -> None:
    assert len(join(folders(tmp_path, [row_fragment()], [row_fragment()])).results) == 1


def test_of_a_yardstick_the_first_is_taken(tmp_path: Path) -> None:
    first, second = (of_kind(row_fragment(seed=seed), "yardstick", "bm25") for seed in (1, 2))
    (found,) = join(folders(tmp_path, [second], [first])).results
    assert found.seed == 2


def test_a_row_with_one_seed_twice_is_refused(tmp_path: Path) -> None:
    again = row_fragment(made_of=("f",))
    told = (
        r"machine1/rows/toy\.student\.tmkd\.1\.npz and \S*machine2/rows/toy\.student\.tmkd\.1\.npz are both tmkd with"
    )
    with pytest.raises(TmkdError, match=told + " seed 1; leave one out"):
        join(folders(tmp_path, [row_fragment()], [again]))
    other = replace(again, results=tuple(replace(one, teachers_seed=2) for one in again.results))
    assert len(join(folders(tmp_path / "seeds", [row_fragment()], [other])).results) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"run": "other"}, r"the run differs \(tiny, other\)"),
        ({"origin": replace(ORIGIN, commit="facade")}, r"the commit differs \(c0ffee, facade\)"),
        ({"recipe": {"student": "z"}}, r"the recipe's student differs \(a, z\)"),
        ({"recipe": {"rows.tmkd": "z"}}, r"the recipe's rows\.tmkd differs \(b, z\)"),
        ({"tests": {"test": "z"}}, r"the test set toy/test differs \(d, z\)"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(TmkdError, match=rf"tmkd\.1\.npz and \S*tmkd\.2\.npz do not go together: {told}"):
        join(folders(tmp_path, [row_fragment()], [row_fragment(seed=2, **changes)]))


def test_a_folder_without_fragments_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        TmkdError, match=r"empty: no fragments here \(no rows/\*\.npz\); name a folder such as results/RUN"
    ):
        join([tmp_path / "empty"])


def test_a_damaged_fragment_is_named(tmp_path: Path) -> None:
    (folder,) = folders(tmp_path, [row_fragment()])
    (path,) = (folder / "rows").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TmkdError, match=r"toy\.student\.tmkd\.1\.npz: not a fragment"):
        join([folder])


def test_warnings_stay(tmp_path: Path) -> None:
    row = row_fragment()
    warned = replace(row, results=(replace(row.first, warnings=("its loss did not fall",)),))
    assert "warning: toy × tmkd: its loss did not fall" in join(folders(tmp_path, [warned])).notes
