"""collect-NAME.html: one self-contained page that shows a stage-1 corpus to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tmkd.evaluate.corpus import CorpusStats, Example, ExamplePassage, Histogram, Share
from tmkd.report import corpus_figures as figures
from tmkd.report.html import cards, head, plots, table, write_page
from tmkd.report.terminal import NONE, percent

PAPER_WORDS = (6.31, 42.70)  # mean words of question and passage in CommQA-Unlabeled, Table 3
_SOURCES_SHOWN = 30

# Counts whose key alone does not say what is counted; any other key is shown as it is, without underscores.
_WORDS = {
    "documents": "documents taken",
    "passages": "passages to search in",
    "left_out": "left out",
    "questions": "questions read",
    "question_duplicates": "questions that came before, counted with the first",
    "near_duplicate_questions": "questions left out: nearly the same as one before",
    "leaked_questions": "questions left out: a dev or test set has them",
    "near_leaked_questions": "questions left out: a dev or test set has nearly the same",
    "questions_drawn": "questions to search for",
    "questions_asked": "questions to search for",
    "questions_used": "questions with pairs",
    "questions_without_passages": "questions for which nothing was found or left",
    "leaked_passages": "passages left out: a dev or test set has them",
    "near_leaked_passages": "passages left out: a dev or test set has nearly the same",
    "pairs": "pairs in the corpus",
    "found_pairs": "pairs found by search",
    "given_pairs": "pairs given and kept",
    "given_duplicates": "pairs given twice, kept once",
    "given_leaked_questions": "pairs given whose question a dev or test set has",
    "given_leaked_passages": "pairs given whose passage a dev or test set has",
    "given_leaked_pairs": "pairs given that a dev or test set has whole",
    "given_leaked_near": "pairs given that are nearly in a dev or test set",
    "given_leaked_removed": "pairs given and left out for what dev and test sets have",
    "run_unknown_questions": "questions of the run file that no question file has",
    "run_unknown_documents": "documents of the run file that are not here",
}

_STYLE = """
.plots { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)) }
.counts { max-width: 44rem }
.counts tbody th, .sources tbody th { min-width: 9rem; white-space: normal; overflow-wrap: anywhere }
details { padding: 1rem 0; border-top: 1px solid var(--line) }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere }
summary small, .where { color: var(--muted); font-size: .8rem; font-weight: 400 }
summary small { display: block }
.found { margin: .5rem 0 0; padding: 0; list-style: none }
.found li { margin-top: .75rem; padding-left: .9rem; border-left: 3px solid var(--line); overflow-wrap: anywhere }
.where { display: block; font-variant-numeric: tabular-nums }
.where a { color: var(--student) }
.found p { margin: 0; max-width: 70ch }
"""


def write_corpus_html(
    path: Path, run: str, name: str, seen: CorpusStats, counts: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Write the page of one corpus; `counts` are the facts of the steps that made it, each under its name.

    Raises: TmkdError when matplotlib is missing.
    """
    body = [
        head("tmkd collect", name, [("Run", run), ("Kind", "stage-1 corpus, pairs without labels")]),
        _sizes(seen),
        _counts(counts),
        _sources(seen.sources),
        _examples(seen.examples),
    ]
    write_page(path, f"{run}: {name}", "".join(body), _STYLE)


def _sizes(seen: CorpusStats) -> str:
    """How many there are, how long they are beside the paper's, and the plots."""
    sizes = [
        (seen.pairs, "pairs"),
        (seen.pairs_per_question.things, "questions"),
        (seen.passage_words.things, "different passages"),
    ]
    if seen.ranks:
        sizes += [(sum(rank.pairs for rank in seen.ranks), "pairs found by search")]
        sizes += [(seen.documents, "documents they were found in")]
    rows = [
        (things, [f"{tally.mean:.2f}", f"{per_pair:.2f}", f"{paper:.2f}", *_spread(tally)])
        for things, tally, per_pair, paper in zip(
            ("question", "passage"),
            (seen.question_words, seen.passage_words),
            seen.words_per_pair,
            PAPER_WORDS,
            strict=True,
        )
    ]
    names = ["words per", "mean", "mean over pairs", "the paper's", "shortest", "median", "95 % at most", "longest"]
    told = (
        "Each question and each passage counts once, but in the mean over pairs as often as it stands in one. "
        "The paper's: mean words in CommQA-Unlabeled (Table 3). Words are split at white space."
    )
    shown = cards((f"{number:,}", words) for number, words in sizes)
    return f"<section><h2>Sizes</h2>{shown}{table(names, rows, told)}{plots(_drawn(seen))}</section>"


def _drawn(seen: CorpusStats) -> Iterator[tuple[str, str]]:
    """The plots with their captions; a corpus whose pairs were all given has no ranks."""
    for tally, name, title, things, unit in (
        (seen.question_words, "question-words", "Length of a question", "questions", "words"),
        (seen.passage_words, "passage-words", "Length of a passage", "passages", "words"),
        (seen.pairs_per_question, "pairs-each", "Pairs of a question", "questions", "pairs"),
    ):
        *_, last, more = figures.bars(tally)
        beyond = f"; grey: {more:,} above {last:,}" if more else ""
        caption = f"{title}: mean {tally.mean:.2f}, median {tally.quantile(0.5):,}{beyond}"
        yield caption, figures.histogram(tally, name, title, things, unit)
    if seen.ranks:
        yield "Pairs by rank", figures.pairs_by_rank(seen.ranks)
    if any(rank.scores for rank in seen.ranks):
        yield "Score by rank: median and middle half", figures.scores_by_rank(seen.ranks)


def _spread(tally: Histogram) -> list[str]:
    return [f"{tally.quantile(share):,}" for share in (0, 0.5, 0.95, 1)]


def _counts(counts: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """What each step took and left out, and why."""
    parts = []
    for step, facts in counts:
        rows = [(words, [value]) for words, value in _lines(facts)]
        parts.append(f'<h3>{escape(step)}</h3><div class="counts">{table(["what", "number"], rows)}</div>')
    return f"<section><h2>What was taken and what was left out</h2>{''.join(parts)}</section>"


def _lines(facts: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Facts in readable words, nested ones after the words of what they are in."""
    for key, value in facts.items():
        words = of + (_WORDS.get(key) or key.replace("_", " "))
        if isinstance(value, Mapping):
            yield from _lines(value, f"{words}: ")
        else:
            yield (
                words,
                f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value),
            )


def _sources(sources: Sequence[Share]) -> str:
    all_of = _together("all", sources)
    shown = [*sources[:_SOURCES_SHOWN]]
    if len(sources) > len(shown):
        shown.append(_together(f"{len(sources) - len(shown):,} more", sources[len(shown) :]))
    rows = [
        (
            share.source or NONE,
            [
                f"{share.questions:,}",
                percent(share.questions / all_of.questions) + " %",
                f"{share.pairs:,}",
                percent(share.pairs / all_of.pairs) + " %",
            ],
        )
        for share in shown
    ]
    names = ["source", "questions", "share", "pairs", "share"]
    told = "Where the questions are from; one that several sources have counts for the first."
    return f'<section class="sources"><h2>Sources</h2>{table(names, rows, told)}</section>'


def _together(name: str, sources: Sequence[Share]) -> Share:
    return Share(name, sum(share.questions for share in sources), sum(share.pairs for share in sources))


def _examples(examples: Sequence[Example]) -> str:
    told = "Drawn by a hash of each question and the corpus's seed, wherever in the corpus they stand."
    shown = "".join(map(_example, examples))
    return f'<section><h2>{len(examples)} questions at random</h2><p class="told">{told}</p>{shown}</section>'


def _example(example: Example) -> str:
    more = f", the first {len(example.found)} shown" if len(example.found) < example.pairs else ""
    about = f"{example.source or NONE} · {example.pairs:,} {'pair' if example.pairs == 1 else 'pairs'}{more}"
    found = "".join(map(_found, example.found))
    summary = f'<span dir="auto">{escape(example.question)}</span><small>{escape(about)}</small>'
    return f'<details open><summary>{summary}</summary><ol class="found">{found}</ol></details>'


def _found(found: ExamplePassage) -> str:
    place = [] if found.rank is None else [f"rank {found.rank}"]
    place += [] if found.score is None else [f"score {found.score:.2f}"]
    place += [] if found.url is None else [_link(found.url)]
    where = f'<span class="where">{" · ".join(place)}</span>' if place else ""
    return f'<li>{where}<p dir="auto">{escape(found.passage)}</p></li>'


def _link(url: str) -> str:
    """A document's name; a link only where it is an address in the web."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, e.g. an open bracket
        return escape(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return escape(url)
    return f'<a href="{escape(url)}" rel="noopener noreferrer nofollow">{escape(url)}</a>'
