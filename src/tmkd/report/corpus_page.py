"""collect-NAME.html: a stage-1 corpus as one self-contained page: sizes, counts, sources, questions at random."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tmkd.evaluate.corpus import CorpusStats, Share
from tmkd.report import corpus_figures as figures
from tmkd.report.formatting import integer
from tmkd.report.html import write_page

PAPER_WORDS = (6.31, 42.70)  # mean words of question and passage in CommQA-Unlabeled, Table 3
_SOURCES_SHOWN = 30  # the rest shares one line

# Counts whose key alone is unclear; every other key is shown with spaces for underscores.
_WORDS = {
    "documents": "documents taken",
    "passages": "passages to search in",
    "left_out": "left out",
    "questions": "questions read",
    "question_duplicates": "repeated questions, counted with the first",
    "near_duplicate_questions": "questions left out: near-duplicates of an earlier one",
    "leaked_questions": "questions left out: in a dev or test set",
    "near_leaked_questions": "questions left out: nearly in a dev or test set",
    "questions_drawn": "questions to search for",
    "questions_asked": "questions to search for",
    "questions_used": "questions with pairs",
    "questions_without_passages": "questions without pairs: nothing found, or all left out",
    "leaked_passages": "passages left out: in a dev or test set",
    "near_leaked_passages": "passages left out: nearly in a dev or test set",
    "pairs": "pairs in the corpus",
    "found_pairs": "pairs found by search",
    "given_pairs": "pairs given and kept",
    "given_duplicates": "pairs given twice, kept once",
    "given_leaked_questions": "pairs given whose question is in a dev or test set",
    "given_leaked_passages": "pairs given whose passage is in a dev or test set",
    "given_leaked_pairs": "pairs given that are in a dev or test set",
    "given_leaked_near": "pairs given that are nearly in a dev or test set",
    "given_leaked_removed": "pairs given and left out because of dev and test sets",
    "run_unknown_questions": "questions of the run file that are in no question file",
    "run_unknown_documents": "documents of the run file that were not collected",
}


def write_corpus_html(
    path: Path, run: str, name: str, stats: CorpusStats, counts: Sequence[tuple[str, Mapping[str, object]]]
) -> None:
    """Write the page of one corpus; `counts` are the facts of the steps that made it, (step, facts).

    Raises: TmkdError when matplotlib is missing.
    """
    write_page(
        path,
        "corpus.html",
        title=f"{run}: {name}",
        command="tmkd collect",
        name=name,
        facts=[("Run", run), ("Kind", "stage-1 corpus, pairs without labels")],
        sizes=_sizes(stats),
        words_per=[
            ("question", stats.question_words, stats.words_per_pair[0], PAPER_WORDS[0]),
            ("passage", stats.passage_words, stats.words_per_pair[1], PAPER_WORDS[1]),
        ],
        drawings=list(_drawings(stats)),
        counts=[(step, list(_in_words(facts))) for step, facts in counts],
        sources=_largest(stats.sources),
        all=_total("all", stats.sources),
        examples=stats.examples,
    )


def _sizes(stats: CorpusStats) -> list[tuple[str, str]]:
    """Counts in large print, (number, words); a corpus without ranks has no pairs found by search."""
    sizes = [
        (stats.pairs, "pairs"),
        (stats.pairs_per_question.items, "questions"),
        (stats.passage_words.items, "different passages"),
    ]
    if stats.ranks:
        sizes += [(sum(rank.pairs for rank in stats.ranks), "pairs found by search")]
        sizes += [(stats.documents, "documents they were found in")]
    return [(integer(number), words) for number, words in sizes]


def _drawings(stats: CorpusStats) -> Iterator[tuple[str, str]]:
    """Plots as (caption, SVG); a corpus whose pairs were all given has no ranks."""
    for histogram, name, title, things, unit in (
        (stats.question_words, "question-words", "Length of a question", "questions", "words"),
        (stats.passage_words, "passage-words", "Length of a passage", "passages", "words"),
        (stats.pairs_per_question, "pairs-each", "Pairs of a question", "questions", "pairs"),
    ):
        *_, last, more = figures.bars(histogram)
        beyond = f"; grey: {more:,} above {last:,}" if more else ""
        caption = f"{title}: mean {histogram.mean:.2f}, median {histogram.quantile(0.5):,}{beyond}"
        yield caption, figures.histogram(histogram, name, title, things, unit)
    if stats.ranks:
        yield "Pairs by rank", figures.pairs_by_rank(stats.ranks)
    if any(rank.scores for rank in stats.ranks):
        yield "Score by rank: median and quartiles", figures.scores_by_rank(stats.ranks)


def _in_words(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Facts as (words, number); nested facts begin with the words of the fact that contains them."""
    for key, value in facts.items():
        words = prefix + (_WORDS.get(key) or key.replace("_", " "))
        if isinstance(value, Mapping):
            yield from _in_words(value, f"{words}: ")
        elif isinstance(value, float):
            yield words, f"{value:,.4g}"
        else:
            yield words, integer(value) if isinstance(value, int) else str(value)


def _largest(sources: Sequence[Share]) -> list[Share]:
    """The first sources; all others as one."""
    shown, rest = [*sources[:_SOURCES_SHOWN]], sources[_SOURCES_SHOWN:]
    return [*shown, _total(f"{len(rest):,} more", rest)] if rest else shown


def _total(name: str, sources: Sequence[Share]) -> Share:
    return Share(name, sum(share.questions for share in sources), sum(share.pairs for share in sources))
