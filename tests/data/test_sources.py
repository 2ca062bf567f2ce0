"""A user's files of rows, good and bad."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import GRADE, SCHEMA, pair_table, question_group
from tmkd.data.sources import read_columns, read_source
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

LABELS = LabelSet("demo", ("no", "yes"), "yes")
ROWS = [("why is the sky blue", "Air scatters blue light.", "yes"), ("how tall is K2", "Tea is a drink.", "no")]


def read(path: Path, labels: LabelSet = LABELS, **settings: Any) -> pa.Table:
    asked = {key: settings.pop(key) for key in ("need", "label") if key in settings}
    return read_source(SourceSpec(file=path.name, **settings), path.parent, labels, **asked)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def in_kind(folder: Path, kind: str, names: tuple[str, str, str]) -> Path:
    """The same two rows as a file of some kind, under these column names."""
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        return write_parquet(path, **dict(zip(names, map(list, zip(*ROWS, strict=True)), strict=True)))
    if kind == "jsonl":
        return write(path, "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in ROWS))
    comma = "," if kind == "csv" else "\t"
    return write(path, "".join(comma.join(row) + "\n" for row in (names, *ROWS)))


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
@pytest.mark.parametrize(
    "names",
    [
        ("question", "passage"),
        ("query", "passage"),
        ("premise", "hypothesis"),
        ("sentence1", "sentence2"),
        ("question", "sentence"),
    ],
)
def test_every_kind_of_file_under_every_name_gives_the_same_pairs(
    tmp_path: Path, kind: str, names: tuple[str, str]
) -> None:
    made = read(in_kind(tmp_path, kind, (*names, "label")))
    assert made.equals(pair_table([row[0] for row in ROWS], [row[1] for row in ROWS], [1, 0], f"rows.{kind}"))
    assert made.schema == SCHEMA


def test_any_other_names_are_mapped_by_the_recipe(tmp_path: Path) -> None:
    path = in_kind(tmp_path, "csv", ("frage", "antwort", "urteil"))
    columns = {"question": "frage", "passage": "antwort", "label": "urteil"}
    assert read(path, columns=columns)["label"].to_pylist() == [1, 0]


def test_the_recipe_names_the_source_and_the_file_names_the_group(tmp_path: Path) -> None:
    made = read(
        write_parquet(tmp_path / "a.parquet", question=["q", "r"], passage=["p", "p"], qid=[7, None]), source="dl"
    )
    assert made["source"].to_pylist() == ["dl", "dl"]
    assert made["group"].to_pylist() == ["7", question_group("r")]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (["no", "yes", " yes "], [0, 1, 1]),
        (["0", "1", ""], [0, 1, None]),
        ([0, 1, -1], [0, 1, None]),
        ([0.0, 1.0, None], [0, 1, None]),
        (["-1", None, "1.0"], [None, None, 1]),
        ([0.0, math.nan, -1.0], [0, None, None]),
        (["-", "NaN", "no"], [None, None, 0]),
        (["None", "NULL", "-1.00"], [None, None, None]),
        (["NA", "<NA>", "\\N"], [None, None, None]),
    ],
)
def test_labels_are_names_or_indices_or_absent(tmp_path: Path, stored: list[Any], expected: list[int | None]) -> None:
    path = write_parquet(tmp_path / "a.parquet", question=list("abc"), passage=list("abc"), label=stored)
    assert read(path)["label"].to_pylist() == expected


def test_a_name_that_looks_like_an_index_is_a_name(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", question=["a", "b"], passage=["a", "b"], label=[1, 0])
    assert read(path, LabelSet("grades", ("1", "0"), "1"))["label"].to_pylist() == [0, 1]


def test_a_mark_for_no_label_that_is_a_class_name_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "question,passage,label\na,b,none\nc,d,-\ne,f,some\n")
    assert read(path, LabelSet("t", ("none", "some"), "some"))["label"].to_pylist() == [0, None, 1]


@pytest.mark.parametrize(("name", "label"), [("a.csv", "-1.0"), ("a.tsv", "-"), ("a.jsonl", "NaN"), ("b.tsv", "nan")])
def test_marks_for_no_label_are_read_in_every_format(tmp_path: Path, name: str, label: str) -> None:
    comma = "," if name.endswith("csv") else "\t"
    rows = [("question", "passage", "label"), ("a", "b", "0.0"), ("a", "c", label)]
    content = "".join(comma.join(row) + "\n" for row in rows)
    if name.endswith("jsonl"):
        content = "".join(f'{{"question": "{q}", "passage": "{p}", "label": {value}}}\n' for q, p, value in rows[1:])
    assert read(write(tmp_path / name, content))["label"].to_pylist() == [0, None]


@pytest.mark.parametrize("label", ["2", "-2", "0.5", "true", "?", "9" * 400])
def test_another_word_is_no_label_and_the_row_is_named_with_a_remedy(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "a.csv", f"question,passage,label\na,b,yes\nc,d,{label}\n")
    with pytest.raises(
        TmkdError, match=r"row 2: label '.*' is none of task demo's: no, yes or 0 to 1; empty for no label"
    ):
        read(path)


def test_labels_of_one_and_minus_one_are_refused_as_no_row_would_be_negative(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "question,passage,label\na,b,1\nc,d,-1\n")
    with pytest.raises(TmkdError, match=r"row 2: labels are -1 and 1, and -1 means no label: write 0 for no"):
        read(path)
    with_zero = write(tmp_path / "b.csv", "question,passage,label\na,b,1\nc,d,-1\ne,f,0\n")
    assert read(with_zero)["label"].to_pylist() == [1, None, 0]


NESTED = {
    "object": ({"title": "", "text": "b"}, "an object"),
    "list": (["b", "c"], "a list"),
}


@pytest.mark.parametrize("column", ["question", "passage", "label", "qid"])
@pytest.mark.parametrize("held", NESTED)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_an_object_or_a_list_where_a_text_is_meant_is_refused_by_row_and_column(
    tmp_path: Path, kind: str, held: str, column: str
) -> None:
    value, word = NESTED[held]
    plain: dict[str, Any] = {"question": "a", "passage": "b", "label": "yes", "qid": "7"}
    if kind == "parquet":
        row, rows = 1, [{**plain, column: value}]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    else:
        row, rows = 2, [plain, {**plain, column: value}]
        write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(TmkdError, match=rf"a\.{kind}: row {row}: column {column} holds {word}, .*with columns:"):
        read(tmp_path / f"a.{kind}")


def test_a_column_of_objects_that_is_not_read_does_no_harm_and_json_in_csv_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"question": "a", "passage": "b", "meta": {"x": [1]}}\n')
    assert read(path)["passage"].to_pylist() == ["b"]
    some = write(tmp_path / "b.jsonl", '{"question": "a", "passage": "b"}\n{"question": "c", "passage": ["d"]}\n')
    assert read(some, where={"question": "a"})["passage"].to_pylist() == ["b"]
    path = write(tmp_path / "a.csv", 'question,passage\na,"{""text"": ""b""}"\n')
    assert read(path)["passage"].to_pylist() == ['{"text": "b"}']


def test_a_json_label_may_be_a_number_and_may_be_missing(tmp_path: Path) -> None:
    rows = [{"question": "a", "passage": "b", "label": 1}, {"question": "a", "passage": "c"}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert read(path)["label"].to_pylist() == [1, None]


def test_labels_are_ignored_on_request_and_required_on_request(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", question=["a", "b"], passage=["a", "b"], label=["yes", None])
    assert read(path, label="none")["label"].to_pylist() == [None, None]
    with pytest.raises(TmkdError, match=r"a\.parquet: row 2: no label"):
        read(path, label="required")
    bare = write_parquet(tmp_path / "b.parquet", question=["a"], passage=["a"])
    assert read(bare)["label"].to_pylist() == [None]
    with pytest.raises(TmkdError, match=r"b\.parquet: no label column; it has question, passage; .*GLUE's test sets"):
        read(bare, label="required")


def test_a_test_file_without_a_single_label_has_a_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "test.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t-1\n1\tc\td\t-1\n")
    with pytest.raises(TmkdError, match=r"row 1: no label \(column label\).*GLUE's test sets.*: give the dev set"):
        read(path, label="required")


def test_pairs_without_a_majority_have_a_remedy_that_works(tmp_path: Path) -> None:
    path = write(tmp_path / "snli.tsv", "gold_label\tsentence1\tsentence2\nyes\ta\tb\n-\tc\td\nno\te\tf\n")
    columns = {"question": "sentence1", "passage": "sentence2", "label": "gold_label"}
    with pytest.raises(TmkdError, match=r"row 2: no label \(column gold_label\); .*; take the labelled") as told:
        read(path, label="required", columns=columns)
    remedy = yaml.safe_load(str(told.value).partition("where: ")[2])  # as pasted into a recipe
    assert read(path, label="required", columns=columns, where=remedy)["label"].to_pylist() == [1, 0]


def test_a_column_of_another_task_is_told_with_the_file_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "qnli.tsv", "index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n")
    told = (
        r"qnli\.tsv: no column 'sentence1'; it has index, question, sentence, label; name one of these .*{question: …}"
    )
    with pytest.raises(TmkdError, match=told):
        read(path, columns={"question": "sentence1", "passage": "sentence2"})


def test_labels_of_another_task_are_told_with_the_columns_values(tmp_path: Path) -> None:
    rows = "".join(f"a{number}\tb\tentailment\n" for number in range(3)) + "c\td\tneutral\n"
    path = write(tmp_path / "a.tsv", f"question\tpassage\tlabel\n{rows}")
    told = r"row 1: label 'entailment' is none .*\. Column label has entailment, neutral: give the task these labels"
    with pytest.raises(TmkdError, match=told):
        read(path, LabelSet("rte", ("0", "1"), "1"))


def test_a_sample_is_the_same_each_time_and_a_part_of_a_larger_one(tmp_path: Path) -> None:
    names = [f"q{number}" for number in range(40)]
    path = write_parquet(tmp_path / "a.parquet", question=names, passage=names, kind=["x", "y"] * 20)
    found = {size: read(path, sample=size)["question"].to_pylist() for size in (5, 5, 20, 40, 99)}
    assert {*found[5]} < {*found[20]} < {*names}
    assert [len(part) for part in found.values()] == [5, 20, 40, 40]
    assert found[20] == [name for name in names if name in found[20]]  # in the file's order
    kept = read(path, sample=10, where={"kind": "x"})["question"].to_pylist()
    assert len(kept) == 10
    assert {*kept} <= {*names[::2]}
    with pytest.raises(TmkdError, match=r"row \d+: label 'a' is none"):
        read(write_parquet(tmp_path / "b.parquet", question=["q"], passage=["p"], label=["a"]), sample=1)


def test_a_score_above_the_threshold_is_the_positive_class(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", question=list("abcd"), passage=list("abcd"), score=[0.4, 0.5, 0.6, None]
    )
    weak: dict[str, Any] = {"columns": {"label": "score"}, "threshold": 0.5}
    assert read(path, **weak)["label"].to_pylist() == [0, 0, 1, None]
    assert read(path, threshold=0.5)["label"].to_pylist() == [0, 0, 1, None]
    turned = LabelSet("rte", ("entailment", "not_entailment"), "entailment")
    assert read(path, turned, **weak)["label"].to_pylist() == [1, 1, 0, None]
    with pytest.raises(TmkdError, match="a threshold needs two classes; task nli has 3"):
        read(path, LabelSet("nli", ("e", "n", "c"), "e"), **weak)


def test_questions_alone_and_passages_alone(tmp_path: Path) -> None:
    questions = read(write(tmp_path / "q.txt", "\ufeffwhat is tea \r\nhow tall\u2028is K2\n\n"), need=("question",))
    assert questions["question"].to_pylist() == ["what is tea", "how tall\u2028is K2"]
    assert questions.column_names == ["question", "source", "group", "count"]
    assert questions["group"][0].as_py() == question_group("What is tea?")
    passages = read(write_parquet(tmp_path / "p.parquet", text=["Tea is a drink."]), need=("passage",))
    assert passages.to_pylist() == [{"passage": "Tea is a drink.", "source": "p.parquet", "url": None}]


def test_quotes_join_csv_fields_and_mean_nothing_in_tsv(tmp_path: Path) -> None:
    quoted = write(tmp_path / "a.csv", 'question,passage\r\n"a, ""b""","two\nlines"\r\n')
    assert read(quoted).select(["question", "passage"]).to_pylist() == [{"question": 'a, "b"', "passage": "two\nlines"}]
    plain = write(tmp_path / "a.tsv", 'question\tpassage\n"a" b\tc "d\n')
    assert read(plain).select(["question", "passage"]).to_pylist() == [{"question": '"a" b', "passage": 'c "d'}]


@pytest.mark.parametrize(("kind", "comma"), [("csv", ","), ("tsv", "\t")])
def test_the_recipe_names_the_columns_of_a_file_without_a_header_line(tmp_path: Path, kind: str, comma: str) -> None:
    path = write(tmp_path / f"a.{kind}", comma.join(("q", "p", "0.5")) + "\n" + comma.join(("r", "s", "0.25")) + "\n")
    table = read_columns(SourceSpec(file=path.name, header=("query", "passage", "score")), tmp_path, ("score",))
    assert table.to_pylist() == [
        {"question": "q", "passage": "p", "score": 0.5},
        {"question": "r", "passage": "s", "score": 0.25},
    ]
    with pytest.raises(TmkdError, match=rf"a\.{kind}: row 1 has 3 fields, the header 2 \(question, passage\)"):
        read(path, header=("question", "passage"))


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "txt"])
def test_other_files_have_their_own_column_names(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", "x")
    with pytest.raises(TmkdError, match=rf"a\.{kind}: header is for CSV and TSV files"):
        read(path, header=("question",), need=("question",))


def test_pairs_are_read_from_another_tools_layout_and_have_no_labels(tmp_path: Path) -> None:
    lists = {"query": "q", "pos": [" a "], "neg": ["b"], "pos_scores": [1.5], "neg_scores": [-2]}
    path = write(tmp_path / "a.jsonl", json.dumps(lists) + "\n")
    made = read(path, layout="flagembedding")
    assert made.equals(pair_table(["q", "q"], ["a", "b"], None, "a.jsonl"))
    assert read(path, layout="flagembedding", threshold=0.0)["label"].to_pylist() == [1, 0]
    with pytest.raises(TmkdError, match=r"a\.jsonl: no label column"):
        read(path, layout="flagembedding", label="required")


def test_pairs_are_read_from_ids_and_their_texts(tmp_path: Path) -> None:
    write(tmp_path / "q.tsv", "7\tq\n")
    write(tmp_path / "p.tsv", "1\ta\n2\tb\n")
    path = write(tmp_path / "s.tsv", "2\t-1\t7\t1\t2\n2\t-1\t7\t1\t2\n")
    made = read(path, layout="hofstaetter", texts={"questions": "q.tsv", "passages": "p.tsv"})
    assert made.equals(pair_table(["q", "q"], ["a", "b"], None, "s.tsv"))


def test_dictionary_and_binary_columns_are_texts_too(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", question=pa.array(["a", "a"]).dictionary_encode(), passage=[b"b", b"c"]
    )
    assert read(path)["passage"].to_pylist() == ["b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty, it has no rows"),
        ("a.csv", b"question,passage\n", "empty, it has no rows"),
        ("a.jsonl", b"\n \n", "empty, it has no rows"),
        ("a.csv", b"question,text\na,b\n", r"no passage column \(.*\); it has question, text; name it in the recipe"),
        ("a.csv", b"question,question\na,b\n", "a column occurs twice"),
        ("a.csv", b"question,passage\na,b\nc\n", "row 2 has 1 fields, the header 2"),
        ("a.tsv", b"question\tpassage\na\tb\tc\n", "row 1 has 3 fields, the header 2"),
        ("a.csv", b'question,passage\na,"b\n', "line 2 is not CSV"),
        ("a.csv", b"question,passage\na,b\n  ,c\n", r"row 2: empty question \(column question\)"),
        (
            "a.csv",
            b"question,passage,label\na,b,yes\nc,d,maybe\n",
            "row 2: label 'maybe' is none of task demo's: no, yes",
        ),
        ("a.csv", b"question,passage\na,b\nc,caf\xe9\n", "line 3 is not UTF-8"),
        ("a.jsonl", b'{"question": "a", "passage": "b"}\n{"question"\n', "row 2 is not valid JSON"),
        ("a.jsonl", b'{"question": "a", "passage": "b"}\n[1]\n', "row 2 is not a JSON object"),
        ("a.jsonl", b'{"question": "a", "passage": "\\ud800"}\n', "row 1 is not valid JSON"),
        ("a.jsonl", b'{"question": "a", "passage": null}\n', "row 1: empty passage"),
        ("a.parquet", b"question,passage\n", "not a readable Parquet file"),
        ("a.xlsx", b"PK", r"cannot be read here; give a file of \.parquet, \.csv, \.tsv, \.jsonl$"),
        (
            "a.txt",
            b"a question\n",
            r"cannot be read here; .*; a table with tabs, as SNLI's, is one of \.tsv: rename it",
        ),
    ],
)
def test_a_bad_file_is_an_error_of_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TmkdError, match=message) as told:
        read(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_file_and_a_missing_mapped_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"nowhere\.csv: no such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(TmkdError, match=r"no column 'frage'; it has question, passage, label"):
        read(in_kind(tmp_path, "csv", ("question", "passage", "label")), columns={"question": "frage"})


def test_bytes_in_parquet_that_are_no_text_are_named_by_row(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", question=["a", "b"], passage=[b"fine", b"caf\xe9"])
    with pytest.raises(TmkdError, match=r"row 2: column passage \(binary\) is not UTF-8 text"):
        read(path)
    # The same bytes under a string type, as careless writers leave them.
    false = pa.Array.from_buffers(pa.string(), 2, pa.array([b"fine", b"caf\xe9"]).buffers())
    path = write_parquet(tmp_path / "b.parquet", question=["a", "b"], passage=false)
    with pytest.raises(TmkdError, match=r"row 2: column passage \(string\) is not UTF-8 text"):
        read(path)


def test_numbers_come_beside_their_pairs(tmp_path: Path) -> None:
    stored = write_parquet(tmp_path / "a.parquet", question=["a", "b"], passage=["a", "b"], score=[1, None])
    assert read_columns(SourceSpec(file=stored.name), tmp_path, ("score",))["score"].to_pylist()[0] == 1.0
    text = write(tmp_path / "a.tsv", "query\tpassage\tno\tyes\na\tb\t0.1\t.9\nc\td\t\tnan\n")
    made = read_columns(SourceSpec(file=text.name), tmp_path, ("no", "yes"))
    assert made.column_names == ["question", "passage", "no", "yes"]
    assert made.to_pylist()[0] == {"question": "a", "passage": "b", "no": 0.1, "yes": 0.9}
    assert str(made["no"][1]) == str(made["yes"][1]) == "nan"


def test_a_number_that_is_none_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "question,passage,score\na,b,1\nc,d,high\n")
    with pytest.raises(TmkdError, match=r"row 2: 'high' in column score is not a number"):
        read_columns(SourceSpec(file=path.name), tmp_path, ("score",))
    with pytest.raises(TmkdError, match=r"no column 'logit'; it has question, passage, score"):
        read_columns(SourceSpec(file=path.name), tmp_path, ("logit",))
    nested = write_parquet(tmp_path / "a.parquet", question=["a"], passage=["b"], score=[[1.0]])
    with pytest.raises(TmkdError, match=r"row 1: column score holds a list, not a single value"):
        read_columns(SourceSpec(file=nested.name), tmp_path, ("score",))


def test_a_query_log_has_a_count_per_question(tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.tsv", "question\tfreq\nwhy\t3\nhow\t1.5\n"), need=("question",))
    assert log["count"].to_pylist() == [3.0, 1.5]
    plain = read(write(tmp_path / "q.txt", "why\nhow\n"), need=("question",))
    assert plain["count"].to_pylist() == [1.0, 1.0]


def test_beir_queries_are_questions_with_their_ids(tmp_path: Path) -> None:
    queries = read(write(tmp_path / "queries.jsonl", '{"_id": "7", "text": "why"}\n'), need=("question",))
    assert (queries["question"].to_pylist(), queries["group"].to_pylist()) == (["why"], ["7"])


def test_an_id_of_a_row_is_no_group_of_pairs(tmp_path: Path) -> None:
    lines = "".join(f'{{"_id": "{n}", "question": "why", "passage": "p{n}", "label": {n}}}\n' for n in range(2))
    assert len(set(read(write(tmp_path / "a.jsonl", lines))["group"].to_pylist())) == 1


def test_where_takes_the_rows_with_one_of_the_wanted_values(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "log.parquet", question=["a", "b", "c", "d"], market=["en", "de", "en", None], year=[1, 1, 2, 1]
    )
    assert read(path, need=("question",), where={"market": "en"})["question"].to_pylist() == ["a", "c"]
    both = {"market": ["en", "de"], "year": 1}
    assert read(path, need=("question",), where=both)["question"].to_pylist() == ["a", "b"]


def test_a_row_is_named_by_its_place_in_the_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "question\tpassage\tlabel\tkind\na\tb\tyes\tx\nc\td\tmaybe\ty\n")
    with pytest.raises(TmkdError, match="row 2: label 'maybe'"):
        read(path, where={"kind": ["y"]})


@pytest.mark.parametrize(
    ("where", "told"), [({"lang": "en"}, "no column 'lang'"), ({"market": "fr"}, "no row has market: fr")]
)
def test_a_where_that_matches_no_row_is_an_error(tmp_path: Path, where: dict[str, str], told: str) -> None:
    path = write_parquet(tmp_path / "log.parquet", question=["a"], market=["en"])
    with pytest.raises(TmkdError, match=told):
        read(path, need=("question",), where=where)


GRADED = "question\tpassage\tlabel\trel\nq\tp\t1\t3\nq\tr\t0\t1\n"


def test_grades_are_read_from_the_column_that_the_recipe_names_and_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.tsv", GRADED)
    table = read(path, columns={"grade": "rel"})
    assert table["grade"].to_pylist() == [3.0, 1.0]
    assert table.schema.field("grade") == GRADE
    assert read(path).schema == SCHEMA
    assert read(path, columns={"grade": "rel"}, label="none").schema == SCHEMA


@pytest.mark.parametrize(("grade", "shown"), [("-1", "-1.0"), ("", "nan"), ("inf", "inf")])
def test_a_grade_that_is_no_amount_is_refused_with_its_row(tmp_path: Path, grade: str, shown: str) -> None:
    path = write(tmp_path / "rows.tsv", GRADED.replace("\t1\n", f"\t{grade}\n"))
    with pytest.raises(TmkdError, match=rf"rows.tsv: row 2: column rel has {shown}, not a grade"):
        read(path, columns={"grade": "rel"})


def test_a_column_of_grades_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no column 'relevance'"):
        read(write(tmp_path / "rows.tsv", GRADED), columns={"grade": "relevance"})
