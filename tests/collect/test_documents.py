from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.collect.documents import Document, read_documents
from tmkd.errors import TmkdError
from tmkd.recipe_parts import Source


def read(folder: Path, content: bytes) -> list[Document]:
    (folder / "pages.jsonl").write_bytes(content)
    return list(read_documents(Source(file="pages.jsonl"), folder))


def test_text_or_paragraphs_title_or_none(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"url": "u1", "title": "T", "text": "Body"}',
        b"",
        b'{"url": "u2", "paragraphs": ["One", "Two"], "title": null}',
    ]
    assert read(tmp_path, b"\r\n".join(lines)) == [Document("u1", "T", "Body"), Document("u2", "", "One\n\nTwo")]


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"url": "u", "text": "a\\ud800b"}')[0].text == "a?b"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{oops", "row 2: not JSON"),
        (b"[" * 100_000, "row 2: not JSON"),
        (b'["url"]', "row 2: not a JSON object"),
        (b'{"title": "T", "text": "x"}', "row 2: no url; it has title, text"),
        (b'{"url": "u", "body": "x"}', "row 2: no text; it has url, body"),
        (b'{"url": "u", "text": " "}', "row 2: text is empty"),
        (b'{"url": 7, "text": "x"}', "row 2: url is not a text"),
        (b'{"url": "u", "text": "\xff"}', "row 2: not UTF-8"),
    ],
)
def test_a_bad_line_is_named_with_file_and_row(tmp_path: Path, line: bytes, problem: str) -> None:
    with pytest.raises(TmkdError, match=r"pages\.jsonl") as caught:
        read(tmp_path, b'{"url": "u", "text": "fine"}\n\n' + line + b"\n")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_and_an_empty_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="cannot be read: No such file"):
        list(read_documents(Source(file="none.jsonl"), tmp_path))
    with pytest.raises(TmkdError, match="no documents"):
        read(tmp_path, b"\n")
