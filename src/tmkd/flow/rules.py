"""Rules of the steps: a number per kind of step, raised whenever a change of tmkd changes what such a step makes.

An artifact made under other rules is stale, with the reason given here. A kind that is not listed is at 0.
"""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """Number of changes to what a kind of step makes, and the last ones in words."""

    number: int = 0
    why: str = ""


# By a step's name or its first part: collect, index, questions, teach, score, start, distill, evaluate, export, …
_SPECIALS = "a special token's name in a text, such as [SEP], is text"
_PIECES = "also where a Unigram model has it among its pieces"
_IDS = "BERT's tokenizer_config.json goes before its tokenizer.json"
_TABLES = "blank lines, byte-order marks, lists and objects, and marks for no label in files of rows"
_DOCUMENTS = "a run chooses among several id columns, a faulty record of CSV is dropped alone"
_TEXTS = "marks and signs distinguish texts, invisible characters go, scripts without spaces are split"
_PAGES = "hidden answers, HTTP codings and charset labels are read; fewer abbreviations hide a sentence's end"
_BUNDLES = "bundles of version 3, judged on more questions, carry the sequences that each engine is checked on"
_MORE = "&, @, 1e-5, || and the like tell texts apart; NaN, tag characters and CSV's quotation marks are no text"
_MORE_PAGES = "linked headings, gzip under any name and quoted TSV are read; Korean is searched by syllables too"
RULES: dict[str, Rules] = {
    "collect": Rules(6, f"{_TABLES}; {_TEXTS}; {_MORE}; near-duplicates of dev and test leave train"),
    "index": Rules(10, f"{_TEXTS}; {_DOCUMENTS}; {_PAGES}; {_MORE_PAGES}"),
    "questions": Rules(5, f"{_TABLES}; {_TEXTS}; {_MORE}"),
    "teach": Rules(3, f"{_SPECIALS}, {_PIECES}; a model is opened whole or refused; {_IDS}"),
    "start": Rules(3, f"{_SPECIALS}, {_PIECES}; {_IDS}"),
    "distill": Rules(3, f"{_SPECIALS}, {_PIECES}; {_IDS}"),
    "evaluate/report": Rules(1, "the best row is the best by dev; calibration, shares, differences with intervals"),
    "export/bundle": Rules(1, _BUNDLES),
    "frontier": Rules(1, _BUNDLES),
    "frontier/report": Rules(2, f"{_BUNDLES}; the pick is the best by dev"),
}


def rules_of(step: str) -> Rules:
    """Rules of a step, by its name or the first part of it."""
    return RULES.get(step) or RULES.get(step.partition("/")[0], Rules())
