"""Scored pairs as sentence-transformers, FlagEmbedding and Tevatron write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tmkd.data.layouts import read_layout
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

Record = dict[str, Any]
Scored = list[tuple[str, str, float, int]]


def write(path: Path, *records: Record) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(records)), path)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read(path: Path, layout: str, gaps: bool = False, header: tuple[str, ...] = ()) -> Scored:
    source = SourceSpec.model_validate({"file": path.name, "layout": layout, "header": header})
    table, _ = read_layout(source, path.parent, scores=True, gaps=gaps)
    assert table.column_names == ["question", "passage", "score", "row"]
    return [tuple(row.values()) for row in table.to_pylist()]


def pairs(path: Path, layout: str) -> list[tuple[str, str]]:
    table, left_out = read_layout(
        SourceSpec.model_validate({"file": path.name, "layout": layout}), path.parent, scores=False
    )
    assert left_out == 0
    return list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))


# -- triples -----------------------------------------------------------------------------------------------------------

TRIPLE: Record = {"query": " why ", "positive": "because", "negative": "never"}
EXPECTED: Scored = [("why", "because", 8.5, 1), ("why", "never", -3.0, 1)]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", ["score", "scores", "label", "labels"])
def test_a_triple_has_its_scores_in_a_list(tmp_path: Path, suffix: str, name: str) -> None:
    assert read(write(tmp_path / f"a{suffix}", {**TRIPLE, name: [8.5, -3]}), "triples") == EXPECTED


@pytest.mark.parametrize("query", ["query", "question", "anchor"])
def test_a_triple_has_its_scores_in_two_columns(tmp_path: Path, query: str) -> None:
    (tmp_path / "a.tsv").write_text(
        f"{query}\tpositive\tnegative\tpos_score\tneg_score\nwhy\tbecause\tnever\t8.5\t-3\n"
    )
    assert read(tmp_path / "a.tsv", "triples") == EXPECTED


def test_a_triple_may_be_without_a_header_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("8.5\t-3\twhy\tbecause\tnever\n")
    assert (
        read(tmp_path / "a.tsv", "triples", header=("pos_score", "neg_score", "query", "positive", "negative"))
        == EXPECTED
    )


def test_a_triple_has_a_negative(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"query": "q", "positive": "p", "label": [1.0]})
    with pytest.raises(TmkdError, match=r"row 1: no negative; it has query, positive, label"):
        read(path, "triples")


def test_many_negatives_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    record = {"query": "q", "negative_10": "n10", "negative_2": "n2", "positive": "p", "label": [4, 2, 1]}
    expected = [("q", "p", 4.0, 1), ("q", "n2", 2.0, 1), ("q", "n10", 1.0, 1)]
    assert read(write(tmp_path / "a.jsonl", record), "triples") == expected
    columns = {**record, "pos_score": 4, "neg_score_10": 1, "neg_score_2": 2}
    del columns["label"]
    assert read(write(tmp_path / "b.jsonl", columns), "triples") == expected


@pytest.mark.parametrize(
    "scores",
    [{"label": 11.5}, {"score": "11.5"}, {"margin": 11.5}, {"label": [11.5]}, {"pos_score": 8.5}],
)
def test_margins_are_refused_in_one_line_and_their_pairs_are_not(tmp_path: Path, scores: Record) -> None:
    path = write(tmp_path / "a.jsonl", {**TRIPLE, **scores})
    with pytest.raises(TmkdError, match=r"a\.jsonl: row 1: has only margins .*; raw scores of both are needed$"):
        read(path, "triples")
    assert pairs(path, "triples") == [("why", "because"), ("why", "never")]


def test_a_margin_per_negative_is_a_margin_too(tmp_path: Path) -> None:
    record = {"query": "q", "positive": "p", "negative_1": "n", "negative_2": "m", "label": [3.0, 2.0]}
    with pytest.raises(TmkdError, match="row 1: has only margins"):
        read(write(tmp_path / "a.jsonl", record), "triples")


# -- FlagEmbedding -----------------------------------------------------------------------------------------------------

LISTS: Record = {"query": "q", "pos": ["p1", " p2 "], "neg": ["n1"], "pos_scores": [3, 2.5], "neg_scores": [-1]}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_every_passage_has_its_place_in_the_list_of_scores(tmp_path: Path, suffix: str) -> None:
    more = {"query": "r", "pos": ["p1"], "neg": [], "pos_scores": [0.0], "neg_scores": []}
    path = write(tmp_path / f"a{suffix}", LISTS, more)
    assert read(path, "flagembedding") == [
        ("q", "p1", 3.0, 1),
        ("q", "p2", 2.5, 1),
        ("q", "n1", -1.0, 1),
        ("r", "p1", 0.0, 2),
    ]


def test_a_score_that_is_too_large_for_a_number_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", LISTS | {"neg_scores": [10**400]})
    with pytest.raises(TmkdError, match=r"a\.jsonl: row 1: .* in neg_scores has a value that is not a number"):
        read(path, "flagembedding")


def test_lists_without_scores_are_pairs_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {name: LISTS[name] for name in ("query", "pos", "neg")})
    assert pairs(path, "flagembedding") == [("q", "p1"), ("q", "p2"), ("q", "n1")]
    with pytest.raises(TmkdError, match=r"row 1: no pos_scores; it has query, pos, neg"):
        read(path, "flagembedding")


# -- Tevatron ----------------------------------------------------------------------------------------------------------

GROUP: Record = {
    "query_id": "7",
    "query": "q",
    "passages": [{"title": "Tea", "text": "A drink."}, {"docid": "d2", "title": "", "text": "no"}, {"text": "x"}],
    "scores": [5.25, -2.0, 0],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_title_stands_before_the_text(tmp_path: Path, suffix: str) -> None:
    assert read(write(tmp_path / f"a{suffix}", GROUP), "tevatron") == [
        ("q", "Tea A drink.", 5.25, 1),
        ("q", "no", -2.0, 1),
        ("q", "x", 0.0, 1),
    ]


def test_scores_that_are_missing_are_an_error_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GROUP, {**GROUP, "query": "r", "scores": [float("nan"), None, 1.5]})
    with pytest.raises(TmkdError, match=r"a\.jsonl: row 2: nan is no score; correct it or set missing: drop"):
        read(path, "tevatron")
    assert read(path, "tevatron", gaps=True)[3:] == [("r", "x", 1.5, 2)]
    source = SourceSpec(file="a.jsonl", layout="tevatron")
    assert read_layout(source, tmp_path, scores=True, gaps=True)[1] == 2


# -- wrong input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "change", "said"),
    [
        ("triples", {"query": None}, "empty query"),
        ("triples", {"negative": " "}, "empty negative"),
        ("triples", {"positive": 3}, "positive holds no text"),
        ("flagembedding", {"query": ["q"]}, "query holds no text"),
        ("triples", {"positive": "\ud800"}, "positive is not UTF-8 text"),
        ("triples", {"label": [1, 2, 3]}, "3 scores for 2 passages"),
        ("triples", {"label": [1, "high"]}, r"\[1, \"high\"\] in scores has a value that is not a number"),
        ("triples", {"label": [1, float("inf")]}, "inf is no score"),
        ("triples", {}, r"no scores \(pos_score and neg_score, or a list in score or label\); it has query"),
        ("flagembedding", {"pos_scores": [1]}, "1 pos_scores for 2 passages"),
        ("flagembedding", {"neg_scores": 3}, "neg_scores is not a list"),
        ("flagembedding", {"pos": "p1"}, "pos is not a list"),
        ("flagembedding", {"neg": [["n"]]}, "neg holds no text"),
        ("tevatron", {"scores": [1.0]}, "1 scores for 3 passages"),
        ("tevatron", {"passages": ["a", "b", "c"]}, "passages holds no objects with title and text"),
        ("tevatron", {"passages": [{"title": "a"}], "scores": [1.0]}, "no text; it has title"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(tmp_path: Path, layout: str, change: Record, said: str) -> None:
    good = {"triples": TRIPLE, "flagembedding": LISTS, "tevatron": GROUP}[layout]
    first = {**good, "label": [1, 2]} if layout == "triples" else good
    with pytest.raises(TmkdError, match=rf"a\.jsonl: row 2: {said}") as told:
        read(write(tmp_path / "a.jsonl", first, {**good, **change}), layout)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty, it has no rows"),
        (b'{"query": "q"\n', "row 1: not valid JSON"),
        (b"[1]\n", "row 1: not a JSON object"),
        (b'{"query": "\xff"}\n', "row 1: not valid JSON"),
    ],
)
def test_a_torn_file_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(TmkdError, match=rf"a\.jsonl: {said}"):
        read(tmp_path / "a.jsonl", "flagembedding")
    with pytest.raises(TmkdError, match=r"b\.jsonl: no such file"):
        read(tmp_path / "b.jsonl", "flagembedding")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"layout": "hofstaetter"}, "texts .* go together; give both or none"),
        ({"texts": {"questions": "q", "passages": "p"}}, "texts .* go together; give both or none"),
        ({"layout": "triples", "columns": {"question": "q"}}, "layout triples has its own columns"),
        (
            {"layout": "triples", "votes": {}},
            "layout triples has its own columns; take columns, where, sample and votes out",
        ),
        ({"votes": {}, "threshold": 0.5}, "votes are no scores"),
        ({"votes": {"at_least": 4}}, "at_least is 4, which 3 votes never reach; set fewest: 4"),
        ({"layout": "gpl"}, "'rows', 'hofstaetter', 'triples', 'flagembedding' or 'tevatron'"),
    ],
)
def test_parts_of_a_source_that_do_not_fit(parts: Record, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SourceSpec.model_validate({"file": "a", **parts})


def test_a_source_of_rows_has_no_word_of_layouts_in_its_settings() -> None:
    # What was made from it before there were layouts would be stale otherwise.
    assert "layout" not in SourceSpec(file="a.tsv").model_dump(mode="json")
    assert SourceSpec(file="a.tsv", layout="triples").model_dump(mode="json")["layout"] == "triples"


def test_byte_order_marks_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    line = json.dumps({**TRIPLE, "score": [8.5, -3]})
    (tmp_path / "a.jsonl").write_bytes(f"\ufeff{line}\r\r\n\n\ufeff{line}\n".encode())
    assert read(tmp_path / "a.jsonl", "triples") == [*EXPECTED, *((*one[:3], 2) for one in EXPECTED)]
    (tmp_path / "a.jsonl").write_bytes(line.encode("utf-16"))
    with pytest.raises(TmkdError, match=r"a\.jsonl: UTF-16 or UTF-32"):
        read(tmp_path / "a.jsonl", "triples")


@pytest.mark.parametrize(
    ("layout", "record", "said"),
    [
        ("triples", {**TRIPLE, "query": ["why"], "score": [1, 2]}, "query holds no text"),
        ("triples", {**TRIPLE, "positive": {"text": "because"}, "score": [1, 2]}, "positive holds no text"),
        ("flagembedding", {"query": "why", "pos": [{"text": "a"}], "neg": [], "pos_scores": [1]}, "pos holds no text"),
        (
            "tevatron",
            {"query": "why", "passages": [{"title": ["a"], "text": "b"}], "scores": [1]},
            "title holds no text",
        ),
        ("tevatron", {"query": "why", "passages": [{"text": ["b"]}], "scores": [1]}, "text holds no text"),
    ],
)
def test_a_list_or_an_object_is_no_text(tmp_path: Path, layout: str, record: Record, said: str) -> None:
    with pytest.raises(TmkdError, match=rf"a\.jsonl: row 1: {said}"):
        read(write(tmp_path / "a.jsonl", record), layout)


def test_values_of_parquet_that_are_no_scores_and_no_texts_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {**TRIPLE, "score": [b"x", b"y"]})
    with pytest.raises(TmkdError, match=r"a\.parquet: row 1: .* in scores has a value that is not a number"):
        read(path, "triples")
    false = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"]).buffers())
    pq.write_table(pa.table({"query": false, "positive": ["a"], "negative": ["b"], "score": [[1.0, 2.0]]}), path)
    with pytest.raises(TmkdError, match=r"a\.parquet: a text is not UTF-8"):
        read(path, "triples")
