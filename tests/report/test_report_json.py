"""report.json: its keys, its way back, and the counts of Table 3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import SCHEMA, pair_id, write_corpus
from tmkd.errors import TmkdError
from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.evaluate.speed import Speed
from tmkd.metrics.calibration import ReliabilityBin
from tmkd.report.report_json import DataSet, Report, data_set, read_report, report_json

KEYS = (
    *"row task split accuracy auc mrr map ndcg_10".split(),  # noqa: SIM905
    *"parameters bytes pairs_per_second seed teachers_seed seconds_to_make".split(),  # noqa: SIM905
)
REPORT = Report(
    name="demo",
    date="2026-11-23",
    machine="a processor, 2 cores",
    seeds=(1,),
    results=(
        Result(
            "T1",
            "teacher",
            "demo",
            "test",
            0.8,
            0.85,
            0.7,
            0.6,
            0.65,
            22_700_000,
            91_000_000,
            110.5,
            1,
            900.0,
            150,
            3,
            dev=0.9,
            ndcg_10_graded=0.5,
            ece=0.04,
            reliability=(ReliabilityBin(450, 0.84, 0.8),),
        ),
        Result("TMKD", "student", "demo", "test", 0.79, None, None, None, None, 17_000_000, 70_000_000, None, 1, None),
    ),
    comparisons=(Comparison("demo", "test", "accuracy", "TMKD", "T1", -0.01, -0.03, 0.01, 0.4, 1, 1, 0.4),),
    shares=(Share("demo", "test", "TMKD", "T1", None, 0.9875, 0.966, None),),
    data=(DataSet("demo/train", 4, 4, 2, 3, 5.86, 43.74, {"no": 2, "yes": 2}),),
    speeds={"T1": Speed(110.5, 256, 3, 32, 2, 61.2, "bf16")},
    notes=("a note",),
)


def test_rows_have_exactly_the_documented_keys(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(report_json(REPORT))
    facts = json.loads((tmp_path / "report.json").read_text())
    assert [list(row) for row in facts["rows"]] == [list(KEYS)] * 2
    assert facts["rows"][1]["auc"] is None
    assert facts["details"] == [
        {
            "kind": "teacher", "questions": 150, "left_out": 3, "dev": 0.9, "ndcg_10_graded": 0.5, "ece": 0.04,
            "reliability": [{"pairs": 450, "confidence": 0.84, "accuracy": 0.8}],
        },
        {
            "kind": "student", "questions": 0, "left_out": 0, "dev": None, "ndcg_10_graded": None, "ece": None,
            "reliability": [],
        },
    ]  # fmt: skip
    assert facts["comparisons"] == [
        {
            "task": "demo", "split": "test", "measure": "accuracy", "row": "TMKD", "other": "T1", "value": -0.01,
            "low": -0.03, "high": 0.01, "p": 0.4, "seeds": 1, "other_seeds": 1, "adjusted": 0.4,
        }
    ]  # fmt: skip
    assert facts["shares"] == [
        {
            "task": "demo", "split": "test", "row": "TMKD", "teacher": "T1", "baseline": None, "of_teacher": 0.9875,
            "above_chance": 0.966, "gap_closed": None,
        }
    ]  # fmt: skip
    assert (facts["name"], facts["machine"], facts["seeds"]) == ("demo", "a processor, 2 cores", [1])


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(report_json(REPORT))
    assert read_report(tmp_path / "report.json") == REPORT


def test_warnings_and_models_that_have_seen_a_set_come_back(tmp_path: Path) -> None:
    marked = replace(REPORT.results[0], warnings=("flat",), seen=("bert",))
    (tmp_path / "report.json").write_bytes(report_json(replace(REPORT, results=(marked,))))
    assert json.loads((tmp_path / "report.json").read_text())["details"][0]["seen"] == ["bert"]
    assert read_report(tmp_path / "report.json").results == (marked,)


def test_a_missing_or_foreign_report_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no report yet"):
        read_report(tmp_path / "report.json")
    for text in ("{", "[]", '{"rows": []}', '{"rows": [{"row": 1}], "details": [{}]}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(TmkdError, match="not a report"):
            read_report(tmp_path / "report.json")


def test_a_data_set_counts_labels_questions_and_words(tmp_path: Path) -> None:
    rows = [
        ("what is tea", "a drink made of leaves", 1, "q1"),
        ("what is tea", " a  plant ", 0, "q1"),
        ("why", "because", None, "q2"),
    ]
    table = pa.Table.from_pylist(
        [
            {"id": pair_id(q, p), "question": q, "passage": p, "label": label, "source": "s", "group": group}
            for q, p, label, group in rows
        ],
        schema=SCHEMA,
    )
    corpus = write_corpus(tmp_path / "corpus", LabelSet("demo", ("no", "yes"), "yes"), [table])
    found = data_set("demo/train", corpus)
    assert (found.name, found.pairs, found.labelled, found.positive, found.questions) == ("demo/train", 3, 2, 1, 2)
    assert found.classes == {"no": 1, "yes": 1}
    assert (found.question_words, found.passage_words) == pytest.approx((7 / 3, 8 / 3))
