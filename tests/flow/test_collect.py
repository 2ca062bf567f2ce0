"""`tmkd collect --report`: a page for each stage-1 corpus, by the real command line."""

from __future__ import annotations

import re

import tiny
from tiny import Call, World
from tmkd.data.pairs import Corpus


def test_collecting_with_a_report_writes_a_page_and_prints_its_path(world: World, tmkd: Call) -> None:
    said = tmkd("collect", world.recipe, "--runs", world.runs, "--report")
    assert (said.code, said.out) == (0, "")
    page = world.run / "collect-web.html"
    assert said.err.splitlines()[-1] == str(page)
    html = page.read_text()
    pairs = len(Corpus.open(world.run / "pairs" / "web"))
    assert f"<b>{pairs:,}</b><span>pairs</span>" in html
    assert 0 < html.count("<details") <= 30
    questions = {tiny.question(topic) for topic in range(30, 60)}
    assert {*re.findall(r'<summary><span dir="auto">([^<]*)', html)} <= questions
    assert 'href="https://tiny.example/' in html
    for step in ("The passages", "The questions", "The pairs"):
        assert f"<h3>{step}</h3>" in html


def test_a_second_call_makes_no_step_and_the_same_page(world: World, tmkd: Call) -> None:
    assert tmkd("collect", world.recipe, "--runs", world.runs, "--report").code == 0
    page = world.run / "collect-web.html"
    first = page.read_bytes()
    page.unlink()
    said = tmkd("collect", world.recipe, "--runs", world.runs, "--report")
    assert "0 steps done now" in said.err
    assert page.read_bytes() == first
    page.unlink()
    assert tmkd("collect", world.recipe, "--runs", world.runs).code == 0
    assert not page.exists()


def test_given_pairs_have_a_page_too(world: World, tmkd: Call) -> None:
    tiny.write_tsv(world.data / "given.tsv", ("question", "passage"), [("what is <b>", "it is a <script>")])
    tiny.change(world.recipe, "collect.web", {"task": "toy", "pairs": "given.tsv"})
    said = tmkd("collect", world.recipe, "--runs", world.runs, "--report")
    assert said.code == 0, said.err
    html = (world.run / "collect-web.html").read_text()
    assert "it is a &lt;script&gt;" in html
    assert "The questions" not in html
    assert 'class="where"' not in html
