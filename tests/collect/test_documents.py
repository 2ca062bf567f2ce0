from __future__ import annotations

import gzip
import pickle
import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tmkd.collect import documents
from tmkd.collect.document_tables import Row
from tmkd.collect.documents import Deduplicator, Document, Record, check_documents, records, to_document
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

ENGLISH = "The lake is in the north of the country, and a river that comes from the mountains flows through it. " * 2
GERMAN = "Der See liegt im Norden des Landes, und ein Fluss, der aus den Bergen kommt, fließt durch ihn hindurch. " * 2
HTML = f"<html><head><title>Lakes</title></head><body><p>{ENGLISH}</p></body></html>".encode()


def read(folder: Path, name: str, **how: Any) -> tuple[list[Record], dict[str, int]]:
    drop_counts: Counter[str] = Counter()
    return list(records(SourceSpec(file=name, **how), folder, drop_counts)), dict(drop_counts)


def warc(*bodies: bytes) -> bytes:
    def one(number: int, body: bytes) -> bytes:
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
        head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}\r\n"
        return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"

    return b"".join(gzip.compress(one(number, body)) for number, body in enumerate(bodies))


def test_each_kind_of_file_gives_its_records(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(warc(HTML))
    (tmp_path / "b.HTML").write_bytes(HTML)
    (tmp_path / "c.jsonl").write_text('{"url": "u", "title": "T", "text": "x"}')
    (tmp_path / "d.tsv").write_text("u\tx\n")
    assert read(tmp_path, "a.warc.gz")[0] == [Record("http://a.example/0", "", HTML, "utf-8")]
    assert read(tmp_path, "b.HTML")[0] == [Record("b.HTML", "", HTML)]
    assert read(tmp_path, "c.jsonl")[0] == [Record("u", "T", "x")]
    assert read(tmp_path, "d.tsv", header=("url", "text"))[0] == [Record("u", "", "x")]


def test_a_folder_gives_all_html_below_it_by_path(tmp_path: Path) -> None:
    for name in ("b/2.html", "b/1.htm", "a.html", "b/notes.txt", "c/d/x.html"):
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_bytes(name.encode())
    (tmp_path / "site" / "gone.html").symlink_to(tmp_path / "nowhere")
    found, drop_counts = read(tmp_path, "site")
    assert [(one.url, one.content) for one in found] == [
        (name, name.encode()) for name in ("a.html", "b/1.htm", "b/2.html", "c/d/x.html")
    ]
    assert drop_counts == {"unreadable": 1}


def test_a_file_of_html_above_the_limit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_HTML_BYTES", 1_000)
    (tmp_path / "a.html").write_bytes(b"x" * 1_000)
    (tmp_path / "b.html").write_bytes(b"x" * 1_001)
    found, drop_counts = read(tmp_path, ".")
    assert [one.url for one in found] == ["a.html"]
    assert drop_counts == {"too large": 1}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.jsonl", None, r"none\.jsonl: no such file"),
        ("a.pdf", b"%PDF", r"a\.pdf: cannot be read here; give a folder of HTML files or a file of \.warc, "),
        ("a.parquet.gz", b"x", "cannot be read here"),
        ("a.jsonl", b"", r"a\.jsonl: no documents in it \(it is empty\)"),
        ("a.tsv", b"", "no documents"),
        ("a.csv", b"\n", "no documents"),
        ("a.warc", b"", "no documents"),
        ("a.warc.gz", b"", "no documents"),
        ("a.jsonl", b"x\ny\n{}\n", r"no documents in it \(2 × bad json, 1 × no url\)"),
        ("a.warc", b"%PDF-1.4" * 9, r"no documents in it \(1 × garbage between records\)"),
    ],
)
def test_a_file_without_documents_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for use in (read, lambda folder, file: check_documents(SourceSpec(file=file), folder, None)):
        with pytest.raises(TmkdError, match=problem) as caught:
            use(tmp_path, name)
        assert "\n" not in str(caught.value)


def test_a_folder_without_html_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no documents in it"):
        read(tmp_path, ".")


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.jsonl").write_bytes(b"{}")
    monkeypatch.setattr(documents, "read_documents", refuse)
    with pytest.raises(TmkdError, match=r"a\.jsonl: cannot be read: Permission denied"):
        read(tmp_path, "a.jsonl")


def test_checking_a_file_reads_it_only_to_its_first_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*_: object) -> Iterator[Row]:
        yield Row("u", "", "x")
        pytest.fail("read beyond the first document")

    (tmp_path / "a.jsonl").write_bytes(b"{}")
    monkeypatch.setattr(documents, "read_documents", stream)
    check_documents(SourceSpec(file="a.jsonl"), tmp_path, None)


def test_reasons_are_there_when_reading_stops_early(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'x\n{"url": "u", "text": "x"}\n')
    drop_counts: Counter[str] = Counter()
    stream = records(SourceSpec(file="a.jsonl"), tmp_path, drop_counts)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert drop_counts == {"bad json": 1}


def test_a_record_can_be_sent_to_another_process() -> None:
    for record in (Record("u", "T", "half \ud800 a pair"), Record("u", "", HTML, "utf-8")):
        assert pickle.loads(pickle.dumps(record)) == record


def test_a_record_becomes_a_document() -> None:
    assert to_document(Record("u", " My\n title ", "  As it is.\n\nTwo."), None) == Document(
        "u", "My title", "  As it is.\n\nTwo."
    )
    assert to_document(Record("u", "", HTML), "en") == Document("u", "Lakes", ENGLISH.strip())
    assert to_document(Record("u", "Given", HTML), None) == Document("u", "Given", ENGLISH.strip())


def test_what_utf8_cannot_hold_is_replaced() -> None:
    assert to_document(Record("u\ud800", "\0t", "a\ud800b\0c\udc80"), None) == Document("u?", "t", "a?b c?")


def test_invisible_characters_are_taken_out_of_title_and_text() -> None:
    page = "<html><title>Spec&shy;trum</title><p>" + "The elec&shy;tro&#8203;mag&shy;net is strong and old. " * 5
    document = to_document(Record("u", "", page.encode()), None)
    assert isinstance(document, Document)
    assert document.title == "Spectrum"
    assert document.text.startswith("The electromagnet is strong")
    farsi = to_document(Record("u", "", "او می\u200cخواهد\u00ad برود"), None)
    assert isinstance(farsi, Document)
    assert farsi.text == "او می\u200cخواهد برود"


def test_the_language_of_a_text_without_spaces_is_checked() -> None:
    text = "因为空气分子散射的蓝光比红光多得多，所以我们从各个方向看到的都是蓝光。" * 3
    assert to_document(Record("u", "", text), "en") == "another language"
    assert isinstance(to_document(Record("u", "", text), "zh"), Document)


def test_a_title_is_cut_to_300_characters() -> None:
    made = to_document(Record("u", "x" * 1_000, "text"), None)
    assert isinstance(made, Document)
    assert len(made.title) == 300


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record("u", "", " \0\n"), "empty text"),
        (Record("u", "", b""), "no main text"),
        (Record("u", "", b"\x89PNG" + bytes(range(256))), "not text"),
        (Record("u", "", HTML.replace(ENGLISH.encode(), GERMAN.encode())), "another language"),
        (Record("u", "", GERMAN), "another language"),
    ],
)
def test_a_record_that_gives_no_document_has_a_reason(record: Record, reason: str) -> None:
    assert to_document(record, "en") == reason


def test_a_text_of_fewer_than_20_words_is_of_any_language() -> None:
    words = GERMAN.split()
    assert isinstance(to_document(Record("u", "", " ".join(words[:19])), "en"), Document)
    assert to_document(Record("u", "", " ".join(words[:20])), "en") == "another language"
    assert isinstance(to_document(Record("u", "", GERMAN), "de"), Document)


def test_prose_decides_about_the_language_and_not_lists_of_names() -> None:
    names = "\n".join(["Venganza del Sol;", "Rue de la Paix;", "Gruppo Trieste;", "Schönbrunn;"] * 20)
    assert isinstance(to_document(Record("u", "", f"{names}\n\n{ENGLISH}"), "en"), Document)


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(TmkdError, match="language 'english' is not known; give a code such as en, de"):
        to_document(Record("u", "", ENGLISH), "english")


def test_without_py3langid_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(TmkdError, match=r"language identification needs py3langid: pip install 'tmkd\[collect\]'"):
        to_document(Record("u", "", ENGLISH), "en")


def test_the_first_document_of_a_url_stays() -> None:
    drop_counts: Counter[str] = Counter()
    deduplicator = Deduplicator(drop_counts)
    taken = [
        deduplicator.take(Document(url, "", text)) for url, text in (("1", "a"), ("1", "a"), ("1", "b"), ("2", "a"))
    ]
    assert taken == [True, False, False, True]
    assert drop_counts == {"same url, same text": 1, "same url, other text": 1}


def test_near_duplicates_go_where_that_is_wanted() -> None:
    chance = random.Random(1)
    words = [f"w{chance.randrange(9_999)}" for _ in range(200)]
    texts = [" ".join(words), " ".join([*words, "more"]), " ".join(reversed(words))]
    drop_counts: Counter[str] = Counter()
    deduplicator = Deduplicator(drop_counts, near=True)
    assert [deduplicator.take(Document(str(number), "", text)) for number, text in enumerate(texts)] == [
        True,
        False,
        True,
    ]
    assert drop_counts == {"near-duplicate": 1}
    plain = Deduplicator(Counter())
    assert all(plain.take(Document(str(number), "", text)) for number, text in enumerate(texts))


@pytest.mark.slow
def test_a_page_of_100_megabytes_and_a_large_file_need_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.html").open("wb") as file:
        for _ in range(100):
            file.write(b"<p>word word</p>\n" * 60_000)
    with gzip.open(tmp_path / "b.jsonl.gz", "wb", compresslevel=1) as packed:
        for number in range(300_000):
            packed.write(b'{"url": "%d", "text": "%b"}\n' % (number, b"word " * 60))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    drop_counts: Counter[str] = Counter()
    with pytest.raises(TmkdError, match=r"1 × too large"):
        list(records(SourceSpec(file="a.html"), tmp_path, drop_counts))
    assert sum(1 for _ in records(SourceSpec(file="b.jsonl.gz"), tmp_path, drop_counts)) == 300_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


WEB = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "web"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not WEB.is_dir(), reason="the real pages (../shared/data/web) are not beside this checkout")
def test_real_pages_give_readable_passages() -> None:
    from tmkd.collect.passages import passages

    drop_counts: Counter[str] = Counter()
    deduplicator = Deduplicator(drop_counts, near=True)
    made = [
        to_document(record, "en") for record in records(SourceSpec(file="wikipedia_pages.warc.gz"), WEB, drop_counts)
    ]
    pages = [one for one in made if isinstance(one, Document) and deduplicator.take(one)]
    found = [passage for page in pages for passage in passages(page.text)]
    assert len(made) == 300
    assert len(pages) >= 285
    assert len(found) > 5_000
    for rubbish in ("[edit]", "[1]", "[citation needed]", "Retrieved 20", "°N", "\\displaystyle", "Jump to"):
        assert sum(rubbish in passage for passage in found) <= 2, rubbish
