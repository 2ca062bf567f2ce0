"""Speeds beside the paper's: columns by measurement, ratios within a column, Table 2."""

from __future__ import annotations

from paper_studies import row, study
from row_fragments import speed
from tmkd.report.paper_cells import NOT_RUN, Cell
from tmkd.report.paper_speed import measurements_of, shape_table, speed_table, timed
from tmkd.report.paper_tables import LAYERS_3, TABLE_4, TABLE_9, TEACHER
from tmkd.report.row_fragment import MeasuredSpeed
from tmkd.report.shapes import Shapes, ShapeSpeed

HERE, THERE = "one machine", "other machine"


def on(machine: str, pairs_per_second: float) -> MeasuredSpeed:
    return MeasuredSpeed(machine, speed(pairs_per_second))


ONE = study(
    row("t1", 9, kind="teacher", speed=on(HERE, 100.0)),
    row("tmkd", 8, speed=on(HERE, 250.0)),
    row("tmkd", 7, seed=2, speed=on(THERE, 3000.0)),
)


def test_speeds_of_two_machines_have_a_column_each_and_ratios_within_it() -> None:
    table = speed_table(TABLE_4, TEACHER, [ONE])
    assert list(table.columns) == [
        ("parameters", "the paper's"),
        ("pairs/s", "the paper's"),
        ("parameters", "small"),
        ("pairs/s", "webqa of small, measurement 1"),
        ("pairs/s", "webqa of small, measurement 2"),
    ]
    rows = dict(table.rows)
    assert rows["BERT-large"] == [
        Cell("333.58 M"),
        Cell("16, 1.0×"),
        Cell("", "17.39 M"),
        Cell("", "100", ("1.0×",)),
        Cell("", NOT_RUN),
    ]
    assert rows["TMKD base"] == [
        Cell("45.70 M"),
        Cell("217, 13.6×"),
        Cell("", "17.39 M"),
        Cell("", "250", ("2.5×",)),
        Cell("", "3,000"),  # the teacher was not timed there
    ]
    assert rows["TMKD large"][2:] == [Cell("", NOT_RUN)] * 3
    assert (
        "webqa of small, measurement 1, webqa of small, measurement 2: "
        "4 pairs, median of 1 repeats, batches of 4, 1 threads."
    ) in table.remarks


def test_layers_are_compared_with_three() -> None:
    rows = dict(speed_table(TABLE_9, LAYERS_3, [ONE]).rows)
    assert [rows[name][1] for name in ("1 layer", "3 layers", "5 layers")] == [
        Cell("511, 2.4×"),
        Cell("217, 1.0×"),
        Cell("141, 0.6×"),
    ]
    assert rows["3 layers"][3] == Cell("", "250", ("1.0×",))


def test_without_a_run_the_papers_speeds_stand_alone() -> None:
    table = speed_table(TABLE_9, LAYERS_3, [])
    assert list(table.columns)[2:] == [("parameters", NOT_RUN), ("pairs/s", NOT_RUN)]
    assert table.rows[0][1] == [Cell(""), Cell("511, 2.4×"), Cell("", NOT_RUN), Cell("", NOT_RUN)]


def test_measurements_are_numbered_in_the_order_met() -> None:
    assert measurements_of([ONE]) == [HERE, THERE]
    assert [(one.number, list(one.speeds)) for one in timed([ONE])] == [(1, ["t1", "tmkd"]), (2, ["tmkd"])]


def test_table_2_has_our_parameters_speed_and_latency() -> None:
    shapes = Shapes(
        HERE, "cpu", "fp32", "2026-11-28", "c0ffee", 64, 32, 5,
        (ShapeSpeed("BERT-base", 109_483_778, 40.0, 60.04), ShapeSpeed("BERT-large", 333_581_314, 12.5, 200.0)),
    )  # fmt: skip
    table = shape_table(shapes)
    assert table.rows == [
        ("BERT-base", [Cell("110 M", "109.48 M"), Cell("624", "40"), Cell("1.6 ms", "25.0 ms"), Cell("", "60.0 ms")]),
        (
            "BERT-large",
            [Cell("340 M", "333.58 M"), Cell("192", "12.5"), Cell("5.2 ms", "80.0 ms"), Cell("", "200.0 ms")],
        ),
        ("BERT-base ÷ BERT-large", [Cell(), Cell("3.2×", "3.2×"), Cell(), Cell()]),
    ]
    assert "64 token ids a pair, batches of 32, fp32 on cpu, one machine, 2026-11-28, commit c0ffee" in table.remarks[1]


def test_without_the_file_table_2_was_not_run() -> None:
    assert shape_table(None).rows[0][1][:2] == [Cell("110 M", NOT_RUN), Cell("624", NOT_RUN)]
