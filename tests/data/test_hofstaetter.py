"""Files of ids and scores, `pos_score neg_score qid pos_pid neg_pid`, and the texts they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tmkd.data.layouts import read_layout
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

SCORES = "8.5\t-3.25\t7\t20\t21\n8.5\t1e-1\t7\t20\t22\n-4\t2\t5\t21\t20\n"
QUERIES = "5\twhat is tea\n7\twhy is the sky blue\n"
PASSAGES = '20\tAir "scatters" light. \n21\tTea is a drink.\n22\tGrass, too.\n23\tNobody asks.\n'


def world(folder: Path, scores: str = SCORES, queries: str = QUERIES, passages: str = PASSAGES) -> SourceSpec:
    for name, text in (("scores.tsv", scores), ("queries.tsv", queries), ("collection.tsv", passages)):
        (folder / name).write_bytes(text.encode("latin-1"))
    texts = {"questions": "queries.tsv", "passages": "collection.tsv"}
    return SourceSpec.model_validate({"file": "scores.tsv", "layout": "hofstaetter", "texts": texts})


def read(folder: Path, source: SourceSpec, **how: Any) -> tuple[list[tuple[str, str, float, int]], int]:
    table, left_out = read_layout(source, folder, **{"scores": True, **how})
    return [tuple(row.values()) for row in table.to_pylist()], left_out


def test_a_line_is_two_pairs_with_their_texts_and_scores(tmp_path: Path) -> None:
    sky, air, tea = "why is the sky blue", 'Air "scatters" light.', "Tea is a drink."
    assert read(tmp_path, world(tmp_path)) == (
        [
            (sky, air, 8.5, 1),
            (sky, tea, -3.25, 1),
            (sky, air, 8.5, 2),
            (sky, "Grass, too.", 0.1, 2),
            ("what is tea", tea, -4.0, 3),
            ("what is tea", air, 2.0, 3),
        ],
        0,
    )


def test_pairs_alone_come_once_each_and_need_no_numbers(tmp_path: Path) -> None:
    rows, left_out = read(tmp_path, world(tmp_path, SCORES.replace("8.5", "?")), scores=False)
    assert [(passage, row) for _, passage, _, row in rows] == [
        ('Air "scatters" light.', 1),
        ("Tea is a drink.", 1),
        ("Grass, too.", 2),
        ("Tea is a drink.", 3),
        ('Air "scatters" light.', 3),
    ]
    assert left_out == 0


def test_texts_are_kept_once_and_only_those_that_are_named(tmp_path: Path) -> None:
    table, _ = read_layout(world(tmp_path), tmp_path, scores=True)
    assert table["passage"].chunk(0).dictionary.to_pylist() == [
        'Air "scatters" light.',
        "Tea is a drink.",
        "Grass, too.",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1\t2\t9\t20\t21", r"row 4: qid '9' is not in .*queries\.tsv, or has no text there; .*missing: drop"),
        ("1\t2\t7\t99\t21", r"row 4: pos_pid '99' is not in .*collection\.tsv"),
        ("1\t2\t7\t20\t24", r"row 4: neg_pid '24' is not in .*collection\.tsv"),
        ("nan\t2\t7\t20\t21", "row 4: nan is no score"),
        ("1\tinf\t7\t20\t21", "row 4: inf is no score"),
    ],
)
def test_what_has_no_text_or_no_score_is_named_or_left_out(tmp_path: Path, line: str, said: str) -> None:
    source = world(tmp_path, f"{SCORES}{line}\n", passages=f"{PASSAGES}24\t \n")
    with pytest.raises(TmkdError, match=rf"scores\.tsv: {said}"):
        read(tmp_path, source)
    rows, left_out = read(tmp_path, source, gaps=True)
    assert len(rows) + left_out == 8
    assert left_out == (2 if "qid" in said else 1)


def test_of_several_unknown_ids_the_first_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="row 1: neg_pid '90'"):
        read(tmp_path, world(tmp_path, "1\t2\t7\t20\t90\n1\t2\t9\t20\t21\n"))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"scores": "1\t2\t7\t20\t21\n1\t2\t7\t20\n"}, r"scores\.tsv: row 2 has 4 fields, not 5 \(pos_score, "),
        ({"scores": "1\t2\t7\t20\t21\t3\n"}, r"scores\.tsv: row 1 has 6 fields, not 5"),
        ({"scores": "1\t2\t7\t20\t21\n1\thigh\t7\t20\t21\n"}, r"scores\.tsv: row 2: 'high' is not a number"),
        ({"scores": "7\t20\t21\t3.5\n"}, r"scores\.tsv: has only margins .*; raw scores of both are needed"),
        ({"scores": ""}, r"scores\.tsv: empty, it has no rows"),
        ({"queries": "5\n"}, r"queries\.tsv: row 1 has 1 fields, not 2 \(id, text\)"),
        ({"queries": "5\ta\tb\n"}, r"queries\.tsv: row 1 has 3 fields, not 2"),
        ({"passages": "20\ta\n20\tb\n"}, r"collection\.tsv: the id '20' occurs twice; keep one"),
        ({"passages": "20\ta\n21\t\xff\n"}, r"collection\.tsv: row 2 is not UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_an_error_of_one_line(tmp_path: Path, parts: dict[str, str], said: str) -> None:
    source = world(tmp_path, **parts)
    with pytest.raises(TmkdError, match=said) as told:
        read(tmp_path, source)
    assert "\n" not in str(told.value)


def test_a_missing_file_of_texts_is_named(tmp_path: Path) -> None:
    source = world(tmp_path)
    (tmp_path / "collection.tsv").unlink()
    with pytest.raises(TmkdError, match=r"collection\.tsv: no such file"):
        read(tmp_path, source)


def test_byte_order_marks_blank_lines_and_long_texts_are_read(tmp_path: Path) -> None:
    source = world(tmp_path)
    expected = read(tmp_path, source)
    long = "tea " * 700_000
    for name, text in (
        ("scores.tsv", SCORES),
        ("queries.tsv", QUERIES),
        ("collection.tsv", PASSAGES + f"24\t{long}\n"),
    ):
        content = "\ufeff" + text.replace("\n", "\r\n\r\n")
        (tmp_path / name).write_bytes(content.encode())
    assert read(tmp_path, source) == expected


def test_utf16_and_lines_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = world(tmp_path)
    (tmp_path / "queries.tsv").write_bytes(QUERIES.encode("utf-16"))
    with pytest.raises(TmkdError, match=r"queries\.tsv: UTF-16 or UTF-32"):
        read(tmp_path, source)
    source = world(tmp_path, passages=PASSAGES + "24\t" + "tea " * 1000)
    monkeypatch.setattr("tmkd.data.hofstaetter._MAX_LINE_BYTES", 500)
    with pytest.raises(TmkdError, match=r"collection\.tsv: a line has more than 500 bytes"):
        read(tmp_path, source)
