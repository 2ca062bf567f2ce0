"""Sections of the paper's report: all tables and figures, drawings only of what was run, agreement in sign."""

from __future__ import annotations

from paper_studies import row, study
from row_fragments import speed
from tmkd.report.paper_sections import agreement, sections
from tmkd.report.row_fragment import MeasuredSpeed

TIMED = MeasuredSpeed("one machine", speed(100.0))
ONE = study(
    row("bm25", 4, kind="yardstick", speed=MeasuredSpeed("one machine", speed(90_000.0))),
    row("t1", 10, kind="teacher", speed=TIMED),
    row("bert-3", 2),
    row("1-o-1", 9),
    row("tkd", 8),
    row("tmkd", 10, speed=TIMED),
    row("tmkd, bundle", 9, kind="bundle", speed=MeasuredSpeed("one machine", speed(4000.0))),
    row("alpha-01", 6),
)


def test_every_table_and_figure_has_a_section_in_the_papers_order() -> None:
    assert [one.name for one in sections([ONE], None)] == [
        *(
            "Table 2",
            "Table 3",
            "Table 4",
            "Table 5",
            "Table 6",
            "Figure 2",
            "Table 7",
            "Table 8",
            "Table 9",
            "Figure 3",
        ),
        *("Beyond the paper", "Accuracy against speed", "Confusion", "Origin"),
    ]
    keys = [one.key for one in sections([ONE], None)]
    assert len({*keys}) == len(keys)


def test_tables_4_and_9_have_speeds() -> None:
    with_speed = [
        one.name for one in sections([ONE], None) for table in one.tables if table.heading == "Speed and size"
    ]
    assert with_speed == ["Table 4", "Table 9"]


def test_figures_are_drawn_of_what_was_run() -> None:
    drawn = {one.name: [caption for caption, _ in one.drawings] for one in sections([ONE], None)}
    ours = "Ours, ± the standard deviation over seeds"
    assert (drawn["Figure 2"], drawn["Figure 3"]) == (["The paper's", ours], [ours])
    none = {one.name: [caption for caption, _ in one.drawings] for one in sections([study(row("tmkd-2", 5))], None)}
    assert (none["Figure 2"], none["Figure 3"], none["Accuracy against speed"]) == (["The paper's"], [], [])


def test_accuracy_against_speed_has_the_bundle_and_no_yardstick() -> None:
    ((caption, drawing),) = next(one for one in sections([ONE], None) if one.key == "speed").drawings
    assert caption == "webqa of small, measurement 1"
    assert "tmkd, bundle" in drawing
    assert "bm25" not in drawing


def test_agreement_counts_each_difference_once() -> None:
    found = agreement([ONE])
    # DeepQA: TMKD − BERT-3, − 1-o-1, − teacher, 1-o-1 − BERT-3, TKD − 1-o-1, TMKD − TKD (also TMKD − TKD base).
    assert found.run == 6
    assert found.alike == 4  # not TMKD − teacher, which is 0 here, and not TKD − 1-o-1
    assert found.clear == 2  # TMKD and 1-o-1 over BERT-3: the others' intervals of ten questions reach 0
    assert found.against == []


def test_a_difference_on_the_other_side_is_named() -> None:
    assert agreement([study(row("bert-3", 10), row("tmkd", 1))]).against == ["tmkd − bert-3 (webqa of small)"]
