from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tmkd.collect import document_tables
from tmkd.collect.document_tables import Row, read_documents
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec


def read(path: Path, **how: Any) -> tuple[list[Row], dict[str, int]]:
    drop_counts: Counter[str] = Counter()
    return list(read_documents(path, SourceSpec(file=path.name, **how), drop_counts)), dict(drop_counts)


def write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder / name


def test_jsonl_has_text_or_paragraphs_and_perhaps_a_title(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"url": "u1", "title": "T", "text": "Body"}',
        b"",
        b'{"url": "u2", "paragraphs": ["One", "Two"], "title": null}',
        b'{"_id": "MED-10", "title": "", "text": "beir", "metadata": {}}',
        b'{"id": 7, "contents": "anserini"}',
        b'{"docno": 8.0, "segment": "trec"}',
    ]
    expected = [
        Row("u1", "T", "Body"),
        Row("u2", "", "One\n\nTwo"),
        Row("MED-10", "", "beir"),
        Row("7", "", "anserini"),
        Row("8", "", "trec"),
    ]
    for name in ("a.jsonl", "b.jsonl.gz"):
        assert read(write(tmp_path, name, b"\r\n".join(lines))) == (expected, {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{oops", "bad json"),
        (b"[" * 100_000, "bad json"),
        (b'{"url": "u", "text": "\xff"}', "not utf-8"),
        (b'["url"]', "no url"),
        (b'{"title": "T", "text": "x"}', "no url"),
        (b'{"url": true, "text": "x"}', "no url"),
        (b'{"url": "%b", "text": "x"}' % (b"x" * 10_000), "url too long"),
        (b'{"url": "u", "passages": "x"}', "empty text"),
        (b'{"url": "u", "text": " \\n"}', "empty text"),
        (b"9" * 5_000, "bad json"),
    ],
)
def test_a_bad_line_is_counted_and_the_others_stay(tmp_path: Path, line: bytes, reason: str) -> None:
    good = [b'{"url": "%d", "text": "fine"}' % number for number in range(2)]
    path = write(tmp_path, "a.jsonl", b"\n".join([good[0], line, good[1]]))
    assert read(path) == ([Row("0", "", "fine"), Row("1", "", "fine")], {reason: 1})


def test_lines_end_only_at_line_feeds(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.tsv", "url\ttext\n1\ta\u2028b\x0cc\n".encode()))[0] == [
        Row("1", "", "a\u2028b\x0cc")
    ]


def test_a_line_that_is_too_long_is_passed_over_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_tables, "_MAX_LINE_BYTES", 50)
    content = b'{"url": "1", "text": "a"}\n' + b"x" * 1_000 + b"\n" + b"y" * 51 + b'\n{"url": "2", "text": "b"}'
    assert read(write(tmp_path, "a.jsonl", content)) == ([Row("1", "", "a"), Row("2", "", "b")], {"too large": 2})


def test_a_table_has_a_header_or_the_recipe_names_its_columns(tmp_path: Path) -> None:
    expected = [Row("0", "", 'The "first" one'), Row("1", "", "Second, and last")]
    lines = b'0\tThe "first" one\n\n1\tSecond, and last\r\n'
    assert read(write(tmp_path, "collection.tsv", lines), header=("url", "text")) == (expected, {})
    assert read(write(tmp_path, "b.tsv.gz", b"pid\tpassage\n" + lines)) == (expected, {})
    quoted = b'docid,body,title\n0,"The ""first"" one",\n1,"Second, and last",\n'
    assert read(write(tmp_path, "c.csv", quoted)) == (expected, {})


def test_tsv_may_have_csvs_quoting(tmp_path: Path) -> None:
    quoted = write(tmp_path, "a.tsv", b'id\ttext\n1\t"say ""a"" now"\n2\t"tea"\n')
    assert [row.text for row in read(quoted)[0]] == ['say "a" now', "tea"]
    plain = write(tmp_path, "b.tsv", b'id\ttext\n1\t"say ""a"" now"\n2\t5" nail\n')
    assert [row.text for row in read(plain)[0]] == ['"say ""a"" now"', '5" nail']


def test_a_text_in_csv_may_have_lines_and_blank_ones(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.csv", b'url,text\n1,"a\n\nb"\n\n2,c\n'))[0] == [
        Row("1", "", "a\n\nb"),
        Row("2", "", "c"),
    ]


def test_columns_are_mapped_by_the_recipe(tmp_path: Path) -> None:
    names = {"url": "key", "title": "text", "text": "content"}
    line = b'{"key": "u", "text": "T", "content": "C", "url": "other"}'
    assert read(write(tmp_path, "a.jsonl", line), columns=names) == ([Row("u", "T", "C")], {})
    assert read(write(tmp_path, "a.tsv", b"text\tcontent\tkey\nT\tC\tu"), columns=names) == ([Row("u", "T", "C")], {})


def test_bad_rows_of_a_table_are_counted(tmp_path: Path) -> None:
    content = b"url\ttext\n1\ta\n2\n3\tb\tc\n4\t\xff\n\te\n6\tf\n"
    counts = {"wrong number of fields": 2, "not utf-8": 1, "no url": 1}
    assert read(write(tmp_path, "a.tsv", content)) == ([Row("1", "", "a"), Row("6", "", "f")], counts)


def test_a_quotation_mark_that_never_ends_loses_not_the_rest_of_the_file(tmp_path: Path) -> None:
    lines = [b"%d,words\n" % number for number in range(40_000)]
    found, drop_counts = read(
        write(tmp_path, "a.csv", b"url,text\n" + b"".join(lines[:9]) + b'x,"open\n' + b"".join(lines[9:]))
    )
    assert [one.url for one in found[:9]] == [str(number) for number in range(9)]
    assert found[-1] == Row("39999", "", "words")
    assert drop_counts["bad csv"] == 1


@pytest.mark.parametrize(("cut", "reason"), [(slice(None, -30), "truncated"), (slice(None), "damaged")])
def test_a_broken_gzip_file_gives_what_comes_before_the_break(tmp_path: Path, cut: slice, reason: str) -> None:
    lines = b"".join(b'{"url": "%d", "text": "%d"}\n' % (number, number**5) for number in range(20_000))
    packed = gzip.compress(lines, mtime=0)[cut]
    if reason == "damaged":
        packed = packed[:-200] + bytes(100) + packed[-100:]
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    found, drop_counts = read(tmp_path / "a.jsonl.gz")
    assert drop_counts[reason] == 1
    assert [one.url for one in found[:15_000]] == [str(number) for number in range(15_000)]
    assert len(found) < 20_000


def test_parquet_is_read_in_its_order_by_pieces(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array(range(1_000), pa.int64()),
            "other": ["x"] * 1_000,
            "paragraphs": [["a", "b"]] * 1_000,
            "title": ["T", None] * 500,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    found, drop_counts = read(tmp_path / "a.parquet")
    assert [one.url for one in found] == [str(number) for number in range(1_000)]
    assert found[:2] == [Row("0", "T", "a\n\nb"), Row("1", "", "a\n\nb")]
    assert drop_counts == {}


def test_bytes_in_parquet_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"\xff\xfe", "schön".encode(), None], pa.binary())
    for name, column in (("a", raw), ("b", raw.view(pa.string()))):
        pq.write_table(pa.table({"url": ["1", "2", "3", "4"], "text": column}), tmp_path / f"{name}.parquet")
        found, drop_counts = read(tmp_path / f"{name}.parquet")
        assert found == [Row("1", "", "fine"), Row("3", "", "schön")]
        assert drop_counts == {"not utf-8": 1, "empty text": 1}


def test_a_damaged_part_of_a_parquet_file_loses_only_itself(tmp_path: Path) -> None:
    texts = [f"{number:05d}" * 9 for number in range(900)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": texts, "text": texts}), path, row_group_size=300, compression="none")
    content = path.read_bytes()
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    path.write_bytes(content[:start] + bytes(200) + content[start + 200 :])
    found, drop_counts = read(path)
    assert {one.text for one in found} >= {*texts[:300], *texts[600:]}
    assert drop_counts == {"damaged": 1}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.tsv",
            b"qid\tquery\n1\tx\n",
            r"a\.tsv: no url column \(url, pid, .*\); it has qid, query; name it with columns: ",
        ),
        ("a.csv", b"url,query\n1,x\n", r"a\.csv: no text column"),
        (
            "a.jsonl",
            b'{"url": "u", "t": "x"}\n{"key": 1}\n',
            r"a\.jsonl: no text column \(.*\); it has url, t, key; name it",
        ),
        ("a.parquet", b"PAR1 it is not", r"a\.parquet: not a readable Parquet file"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(TmkdError, match=problem) as caught:
        read(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_a_table_named_gz_that_is_not_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b'{"url": "u", "text": "x"}')
    with pytest.raises(TmkdError, match=r"a\.jsonl\.gz: not a gzip file"):
        read(tmp_path / "a.jsonl.gz")


@pytest.mark.parametrize(
    ("row", "column", "kind"),
    [
        ({"url": ["u"], "text": "x"}, "url", "a list"),
        ({"url": "u", "title": {"en": "T"}, "text": "x"}, "title", "an object"),
        ({"url": "u", "text": {"a": 1}}, "text", "an object"),
        ({"url": "u", "paragraphs": [{"text": "x"}]}, "paragraphs", "a list"),
    ],
)
@pytest.mark.parametrize("kind_of_file", ["jsonl", "parquet"])
def test_a_list_or_an_object_in_the_place_of_a_text_is_refused(
    tmp_path: Path, kind_of_file: str, row: dict[str, Any], column: str, kind: str
) -> None:
    path = tmp_path / f"a.{kind_of_file}"
    if kind_of_file == "parquet":
        pq.write_table(pa.Table.from_pylist([dict.fromkeys(row), row]), path)
    else:
        path.write_text('{"url": "0", "text": "a"}\n{oops\n\n' + json.dumps(row))
    number = 2 if kind_of_file == "parquet" else 3
    with pytest.raises(TmkdError, match=rf"a\.{kind_of_file}: row {number}: column {column} holds {kind}, not a text"):
        read(path)


def test_a_faulty_record_of_csv_costs_its_own_lines_alone(tmp_path: Path) -> None:
    content = b'url,text\n1,"open\n2,plain\n3,"quoted"\n4,"a" b\n5,"c\n\nd"\n6,"never closed\n7,e\n'
    expected = [Row("2", "", "plain"), Row("3", "", "quoted"), Row("5", "", "c\n\nd"), Row("7", "", "e")]
    assert read(write(tmp_path, "a.csv", content)) == (expected, {"bad csv": 3})


def test_a_document_of_csv_may_be_long_and_lines_may_end_in_any_way(tmp_path: Path) -> None:
    text = "rain, water " * 100_000
    for end in ("\n", "\r\n", "\r\r\n"):
        content = end.join(("\ufeffurl,text", f'1,"{text}"', "", ",", "2,b", "")).encode()
        assert read(write(tmp_path, "a.csv", content)) == ([Row("1", "", text), Row("2", "", "b")], {})


@pytest.mark.parametrize("name", ["a.jsonl", "a.tsv", "a.csv.gz"])
def test_utf16_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TmkdError, match=r"UTF-16 or UTF-32, or no text at all; save it as UTF-8"):
        read(write(tmp_path, name, "url,text\n1,a\n".encode("utf-16")))


def test_of_two_ids_the_narrower_one_is_taken_and_an_address_before_both(tmp_path: Path) -> None:
    rows = b'{"docid": "d", "pid": "p", "text": "x"}\n{"docid": "d", "url": "u", "text": "x"}\n'
    assert [row.url for row in read(write(tmp_path, "a.jsonl", rows))[0]] == ["p", "u"]
