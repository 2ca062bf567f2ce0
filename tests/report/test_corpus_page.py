"""collect-NAME.html: complete, escaped, loading nothing, with links only into the web."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from html_page import Page
from tmkd.evaluate.corpus import CorpusStats, Example, ExamplePassage, Histogram, Rank, Share
from tmkd.report.corpus_page import write_corpus_html

FOUND = ExamplePassage("Air scatters blue light.", 1, 9.126, "https://x.example/a?b=1&c=2")
SEEN = CorpusStats(
    pairs=12345,
    documents=2002,
    question_words=Histogram.count(np.array([4, 6, 8])),
    passage_words=Histogram.count(np.array([40, 50])),
    words_per_pair=(5.25, 41.5),
    pairs_per_question=Histogram.count(np.array([1, 2, 2])),
    ranks=(Rank(1, 700, (8.0, 9.0, 10.0)), Rank(2, 300, (4.0, 5.0, 6.0))),
    sources=(Share("log.tsv", 2, 3), Share("forum", 1, 2)),
    examples=(Example("why is the sky blue", "log.tsv", 21, (FOUND, ExamplePassage("Given one.", None, None, None))),),
)
COUNTS = [
    ("The passages", {"documents": 2500, "left_out": {"not English": 77, "near-duplicates": {"of pages": 5}}}),
    ("The pairs", {"leaked_passages": 4321, "some_new_count": 6, "agreement": 0.98765}),
]


def written(folder: Path, seen: CorpusStats = SEEN, counts: Any = COUNTS, name: str = "web") -> str:
    write_corpus_html(folder / "page.html", "demo", name, seen, counts)
    return (folder / "page.html").read_text()


def with_found(found: ExamplePassage) -> CorpusStats:
    return replace(SEEN, examples=(SEEN.examples[0]._replace(found=(found,)),))


def test_sizes_and_lengths_are_shown_beside_the_papers(tmp_path: Path) -> None:
    texts = Page(written(tmp_path)).texts
    for number, words in (
        ("12,345", "pairs"),
        ("3", "questions"),
        ("2", "different passages"),
        ("1,000", "pairs found by search"),
        ("2,002", "documents they were found in"),
    ):
        assert texts[texts.index(words) - 1] == number
    start = texts.index("question")
    assert texts[start : start + 8] == ["question", "6.00", "5.25", "6.31", "4", "6", "8", "8"]
    assert texts[start + 8 : start + 12] == ["passage", "45.00", "41.50", "42.70"]


def test_every_count_is_in_words_also_nested_ones(tmp_path: Path) -> None:
    texts = Page(written(tmp_path)).texts
    for words, number in (
        ("documents taken", "2,500"),
        ("left out: not English", "77"),
        ("left out: near-duplicates: of pages", "5"),
        ("passages left out: in a dev or test set", "4,321"),
        ("some new count", "6"),
        ("agreement", "0.9877"),
    ):
        assert texts[texts.index(words) + 1] == number


def test_sources_have_their_shares(tmp_path: Path) -> None:
    texts = Page(written(tmp_path)).texts
    start = texts.index("log.tsv")
    assert texts[start : start + 10] == ["log.tsv", "2", "66.7 %", "3", "60.0 %", "forum", "1", "33.3 %", "2", "40.0 %"]


def test_many_sources_end_in_one_line(tmp_path: Path) -> None:
    sources = tuple(Share(f"s{number}", 10, 20) for number in range(40))
    texts = Page(written(tmp_path, replace(SEEN, sources=sources))).texts
    start = texts.index("10 more")
    assert texts[start + 1 : start + 5] == ["100", "25.0 %", "200", "25.0 %"]
    assert "s30" not in texts


def test_an_example_has_its_passages_with_rank_score_and_link(tmp_path: Path) -> None:
    page = Page(written(tmp_path))
    assert {"why is the sky blue", "log.tsv · 21 pairs, the first 2 shown", "Given one."} <= set(page.texts)
    assert page.texts[page.texts.index("rank 1 · score 9.13 ·") + 1] == FOUND.url
    assert page.links == [{"href": FOUND.url, "rel": "noopener noreferrer nofollow"}]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript://x.example/%0aalert(1)",
        " java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/hostname",
        "passages.parquet#12",
        "https:",
        "//x.example/a",
        "http://[bad",
        "",
    ],
)
def test_only_web_addresses_become_links(tmp_path: Path, url: str) -> None:
    page = Page(written(tmp_path, with_found(FOUND._replace(url=url))))
    assert page.links == []
    assert "script" not in page.tags
    assert any(text.startswith(f"rank 1 · score 9.13 · {url}".strip()) for text in page.texts)


def test_an_address_cannot_leave_its_attribute(tmp_path: Path) -> None:
    url = 'https://x.example/" onmouseover="alert(1)\' <b>'
    page = Page(written(tmp_path, with_found(FOUND._replace(url=url))))
    assert page.links == [{"href": url, "rel": "noopener noreferrer nofollow"}]
    assert page.tags.count("b") == 5  # the figures in large print


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&\"{style}"
    seen = replace(
        SEEN,
        sources=(Share(evil, 1, 1),),
        examples=(Example(evil, evil, 1, (ExamplePassage(evil, 1, 1.0, evil),)),),
    )
    page = Page(written(tmp_path, seen, [(evil, {evil: {evil: evil}})], evil))
    assert "script" not in page.tags
    assert page.texts.count(evil) >= 5


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html = written(tmp_path)
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\((?!#)|\b(src|srcset)=", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html


def test_a_corpus_without_ranks_has_a_page_without_them(tmp_path: Path) -> None:
    given = replace(with_found(ExamplePassage("Given one.", None, None, None)), ranks=(), documents=0)
    page = Page(written(tmp_path, given))
    assert page.tags.count("svg") == 3
    assert not [text for text in page.texts[2:] if "rank" in text or "found" in text]  # after title and style
    assert Page(written(tmp_path)).tags.count("svg") == 5


def test_ranks_without_scores_have_no_plot_of_them(tmp_path: Path) -> None:
    assert Page(written(tmp_path, replace(SEEN, ranks=(Rank(1, 3, None),)))).tags.count("svg") == 4


def test_the_same_corpus_is_the_same_page(tmp_path: Path) -> None:
    assert written(tmp_path) == written(tmp_path)
