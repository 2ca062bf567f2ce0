"""paper.html and paper.md: every part, escaped, loading nothing, "not run" where nothing was run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from html_page import Page
from paper_studies import PAIRS, row, study
from row_fragments import speed
from tmkd.report.paper_page import PAPER_FILES, has_texts, write_paper
from tmkd.report.report_json import DataSet
from tmkd.report.row_fragment import MeasuredSpeed
from tmkd.report.study import Study

TEXTS = ([f"question {number}" for number in range(PAIRS)], [f"passage {number}" for number in range(PAIRS)])
TIMED = MeasuredSpeed("one machine", speed(100.0))
ONE = study(row("t1", 9, kind="teacher", speed=TIMED), row("1-o-1", 4), row("tmkd", 8, speed=TIMED), row("mine", 7))
EVIL = "<script>alert('x')</script>&\"{style}|*"


def written(folder: Path, *studies: Study) -> tuple[str, str]:
    write_paper(folder, studies, None)
    html, markdown = ((folder / name).read_text(encoding="utf-8") for name in PAPER_FILES)
    return html, markdown


def test_the_page_has_the_papers_numbers_and_ours(tmp_path: Path) -> None:
    html, markdown = written(tmp_path, ONE)
    texts = Page(html).texts
    at = texts.index("TMKD base − BERT-3 (1-o-1)")
    assert texts[at + 1 : at + 3] == ["+2.58", "+40.0"]
    assert {"not run", "80.0", "1 seed", "3.2×", "Origin: Where the numbers come from"} <= {*texts}
    assert re.search(
        r"^\| TMKD base − BERT-3 \(1-o-1\) \| \+2\.58 / \+40\.0 \(\\\[.*, 1 seed\) \| \+0\.22 / not run", markdown, re.M
    )
    assert "## Table 9: Layers of TMKD base (§5.3)" in markdown.splitlines()


def test_links_lead_to_sections(tmp_path: Path) -> None:
    html, _ = written(tmp_path, ONE)
    targets = [link["href"] or "" for link in Page(html).links]
    assert len(targets) == 15
    assert all(f'<section id="{target[1:]}">' in html for target in targets)


def test_pairs_are_shown_with_texts_and_their_absence_is_told(tmp_path: Path) -> None:
    html, markdown = written(tmp_path, replace(ONE, texts={"webqa": TEXTS}))
    assert {"question 8", "passage 8"} <= {*Page(html).texts}
    assert "- question 8 — passage 8 (label no; tmkd yes 0.82, t1 no 0.82)" in markdown.splitlines()
    html, markdown = written(tmp_path, ONE)
    assert "question 8" not in html + markdown
    assert "Fragments hold no texts" in html
    assert "Fragments hold no texts" in markdown
    assert (has_texts([replace(ONE, texts={"webqa": TEXTS})]), has_texts([ONE])) == (True, False)


def test_everything_is_escaped(tmp_path: Path) -> None:
    rows = (row(EVIL, 5, task=EVIL, splits=(EVIL,)), row("t1", 6, kind="teacher", task=EVIL, splits=(EVIL,)))
    data = (DataSet(EVIL, 10, 10, 5, 10, 5.0, 40.0),)
    one = Study(EVIL, rows, data, {EVIL: ([EVIL] * PAIRS, [EVIL] * PAIRS)})
    html, markdown = written(tmp_path, one)
    page = Page(html)
    assert "script" not in page.tags
    assert EVIL in page.texts
    assert "<script>" not in markdown


def test_the_page_loads_nothing_and_its_drawings_share_no_ids(tmp_path: Path) -> None:
    html, _ = written(tmp_path, ONE, replace(ONE, name="other"))
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\((?!#)|\b(src|srcset)=", html)
    assert set(re.findall(r"https?://[^\"' ]+", html)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len({*ids})


def test_the_same_studies_are_the_same_page(tmp_path: Path) -> None:
    assert written(tmp_path, ONE) == written(tmp_path, ONE)
