from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tmkd.collect import shards
from tmkd.collect.corpora import CorpusPlan, SearchFolders, collect_corpus
from tmkd.collect.guard import Guard
from tmkd.collect.indexing import collect_index
from tmkd.collect.questions import collect_questions
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_shard
from tmkd.engines.local import LocalEngine
from tmkd.errors import TmkdError
from tmkd.recipe.schema import CollectSpec

LABELS = LabelSet("toy", ("no", "yes"), "yes")
PAGES = [
    {"url": "u/eggs", "title": "Eggs", "text": "Cook eggs for eight minutes.\n\nCool eggs under water."},
    {"url": "u/tea", "title": "Tea", "text": "Steep tea for two minutes."},
    {"url": "u/iron", "title": "Iron", "text": "Spinach and beans have iron."},
]
QUESTIONS = ["how long to cook eggs", "How long to cook EGGS?", "tea minutes", "iron in beans", "zzz"]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, PAGES)))
    (tmp_path / "questions.txt").write_text("\n".join(QUESTIONS))
    (tmp_path / "tea.txt").write_text("eggs in water and tea minutes")
    (tmp_path / "passages.tsv").write_text("passage\nIron pans cook eggs well.\n")
    (tmp_path / "pairs.tsv").write_text(
        "question\tpassage\nis tea hot\tTea is hot.\niron in beans\tSpinach and beans have iron.\n"
    )
    return tmp_path


def spec(**settings: Any) -> CollectSpec:
    files = {"documents": "pages.jsonl", "questions": "questions.txt", "passages": "passages.tsv"}
    return CollectSpec.model_validate({"task": "toy", "near": False, **files, **settings})


def collect(
    world: Path, recipe: CollectSpec, guard: Guard | None = None, out: str = "out", processes: int = 1
) -> tuple[Corpus, dict[str, Any]]:
    """All three steps, as the flow makes them."""
    guard = guard or Guard.of([])
    reports: list[tuple[int, int]] = []
    folders = {}
    facts: dict[str, Any] = {}
    if recipe.questions:
        folders = {kind: world / f"{out}-{kind}" for kind in ("index", "questions")}
        digests = {f"file {source.file}": "0" for source in recipe.documents}
        facts |= collect_index("web", recipe, LABELS, folders["index"], world, lambda *_: None, LocalEngine(1), digests)
        folders["questions"].mkdir(exist_ok=True)
        facts |= collect_questions("web", recipe, LABELS, guard, folders["questions"], world)
    report = lambda *place: reports.append(place)  # noqa: E731
    search = SearchFolders(**folders) if folders else None
    plan = CorpusPlan("web", recipe, LABELS, guard, world)
    facts |= collect_corpus(plan, search, world / out, report, LocalEngine(processes))
    assert all(0 < done <= total for done, total in reports)
    return Corpus.open(world / out), facts


def rows(corpus: Corpus) -> list[tuple[Any, ...]]:
    columns = corpus.table().to_pydict()
    return list(zip(*(columns[name] for name in ("question", "passage", "url", "rank")), strict=True))


def test_questions_get_the_best_passage_of_each_document(world: Path) -> None:
    corpus, facts = collect(world, spec())
    eggs = [row for row in rows(corpus) if row[0] == "how long to cook eggs"]
    assert eggs[0] == ("how long to cook eggs", "Cook eggs for eight minutes.", "u/eggs", 1)
    assert ("how long to cook eggs", "Iron pans cook eggs well.", "passages.tsv#1", 2) in eggs
    assert len({url for _, _, url, _ in eggs}) == len(eggs)
    table = corpus.table()
    assert table["label"].null_count == len(corpus) == facts["pairs"] == facts["found_pairs"]
    assert set(table["source"].to_pylist()) == {"questions.txt"}
    assert all(score > 0 for score in table["score"].to_pylist())
    assert facts["questions"] == 5
    assert facts["question_duplicates"] == 1
    assert facts["questions_without_passages"] == 1
    assert facts["passages"] == 5


def test_top_limits_the_documents(world: Path) -> None:
    corpus, _ = collect(world, spec(top=1))
    assert [rank for _, _, _, rank in rows(corpus)] == [1, 1, 1]


def test_given_pairs_come_first_and_once(world: Path) -> None:
    corpus, facts = collect(world, spec(pairs="pairs.tsv"))
    found = rows(corpus)
    assert found[0] == ("is tea hot", "Tea is hot.", None, None)
    assert found[1] == ("iron in beans", "Spinach and beans have iron.", None, None)
    assert len({row[:2] for row in found}) == len(found)
    assert facts["given_pairs"] == 2


def test_pairs_alone_need_no_index(world: Path) -> None:
    corpus, _ = collect(world, CollectSpec.model_validate({"task": "toy", "pairs": "pairs.tsv"}))
    assert len(corpus) == 2
    assert [path.name for path in (world / "out").iterdir() if path.suffix == ".parquet"] == ["given-00000.parquet"]


def test_whole_questions_up_to_the_limit_and_given_pairs_always(world: Path) -> None:
    everything = rows(collect(world, spec(pairs="pairs.tsv", limit=99))[0])
    for limit in range(1, len(everything) + 1):
        corpus, _ = collect(world, spec(pairs="pairs.tsv", limit=limit))
        kept = rows(corpus)
        assert kept == everything[: len(kept)]  # the same order, cut
        assert len(kept) <= max(limit, 2)
        assert len(kept) == len(everything) or kept[-1][0] != everything[len(kept)][0]  # never in a question
    assert len(kept) == len(everything)


def test_the_seed_draws_the_order(world: Path) -> None:
    orders = {
        tuple(dict.fromkeys(row[0] for row in rows(collect(world, spec(seed=seed, limit=99))[0]))) for seed in range(8)
    }
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_nothing_of_dev_or_test_comes_in(world: Path) -> None:
    held_out = pair_table(["Tea; minutes", "is tea hot"], ["cook eggs for eight minutes", "tea is hot"])
    corpus, facts = collect(world, spec(pairs="pairs.tsv"), Guard.of([held_out]))
    assert not {"tea minutes", "is tea hot"} & {row[0] for row in rows(corpus)}
    assert "Cook eggs for eight minutes." not in {row[1] for row in rows(corpus)}
    assert facts["leaked_questions"] == facts["leaked_passages"] == 1
    assert facts["given_leaked_pairs"] == facts["given_leaked_removed"] == 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that are written from now on, a question to each."""
    monkeypatch.setattr(shards, "QUESTIONS", 1)
    monkeypatch.setattr("tmkd.collect.corpora.QUESTIONS", 1)
    names: list[str] = []

    def write(folder: Path, name: str, table: Any) -> Any:
        names.append(name)
        return write_shard(folder, name, table)

    monkeypatch.setattr(shards, "write_shard", write)
    return names


def test_how_questions_are_spread_over_shards_does_not_show(world: Path, made: list[str]) -> None:
    grained, facts = collect(world, spec())
    assert len(made) == len(grained.shards) == 3  # the fourth question has no passage
    assert facts["questions_without_passages"] == 1
    shards.QUESTIONS = 1024
    whole, same = collect(world, spec(), out="other")
    assert (rows(grained), facts) == (rows(whole), same)


def test_a_killed_collect_goes_on_from_its_last_shard_with_the_same_bytes(
    world: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, facts = collect(world, spec(), out="undisturbed")
    made.clear()
    with monkeypatch.context() as patch:
        patch.setattr(shards.Ledger, "add", killed_at_the_second(shards.Ledger.add))
        with pytest.raises(KeyboardInterrupt):
            collect(world, spec())
    assert made == ["shard-00000.parquet", "shard-00001.parquet"]
    made.clear()
    resumed, same = collect(world, spec())
    assert made == ["shard-00001.parquet", "shard-00002.parquet"]  # the second was not noted yet
    assert (resumed.digest, same) == (undisturbed.digest, facts)
    made.clear()
    (world / "out" / "shard-00000.parquet").write_bytes(b"harmed")
    assert collect(world, spec())[0].digest == undisturbed.digest
    assert made == ["shard-00000.parquet"]


def killed_at_the_second(add: Any) -> Any:
    calls: list[int] = []

    def dying(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        add(*args)

    return dying


def test_questions_added_at_the_end_add_shards_and_touch_no_other(world: Path, made: list[str]) -> None:
    before, _ = collect(world, spec())
    (world / "questions.txt").write_text("\n".join([*QUESTIONS, "spinach", "eggs under water"]))
    made.clear()
    after, _ = collect(world, spec())
    assert made == ["shard-00004.parquet", "shard-00005.parquet"]
    assert after.shards[: len(before.shards)] == before.shards
    assert rows(after) == rows(collect(world, spec(), out="anew")[0])


def test_a_larger_limit_adds_shards_and_touches_no_other(world: Path, made: list[str]) -> None:
    before, _ = collect(world, spec(limit=2))
    after, _ = collect(world, spec(limit=99))
    assert after.shards[: len(before.shards)] == before.shards
    assert len(after) > len(before)


@pytest.mark.parametrize("change", [{"top": 1}, {"keep": 1}, {"shortest": 5}])
def test_what_pairs_depend_on_makes_them_anew(world: Path, made: list[str], change: dict[str, Any]) -> None:
    collect(world, spec())
    made.clear()
    collect(world, spec(**change))
    assert len(made) == 3


def test_processes_do_not_show(world: Path) -> None:
    questions = [f"eggs {word} water" for word in map("w{}".format, range(4 * shards.QUESTIONS))]
    (world / "questions.txt").write_text("\n".join(questions))
    one, facts = collect(world, spec())
    two, same = collect(world, spec(), out="two", processes=2)
    assert (one.digest, facts) == (two.digest, same)
    assert len(one.shards) == 4


def test_a_changed_file_of_passages_builds_the_index_anew(world: Path) -> None:
    collect(world, spec())
    (world / "passages.tsv").write_text("passage\nZzz is sleep.\n")
    corpus, _ = collect(world, spec())
    assert "Zzz is sleep." in {row[1] for row in rows(corpus)}


def test_kept_documents_keep_their_ranks(world: Path) -> None:
    every = {row[:3]: row[3] for row in rows(collect(world, spec())[0])}
    drawn = rows(collect(world, spec(keep=1))[0])
    assert len({row[0] for row in drawn}) == len(drawn) == 3
    assert all(every[row[:3]] == row[3] for row in drawn)


def test_nearly_the_same_as_dev_or_test_is_left_out_too(world: Path) -> None:
    text = "Cook eggs for eight minutes and cool them in cold water."
    (world / "passages.tsv").write_text(f"passage\n{text}\n")
    held_out = pair_table(["minutes for the tea"], [f"For a start: {text}"])
    corpus, facts = collect(world, spec(), Guard.of([held_out], near=True))
    assert text not in {row[1] for row in rows(corpus)}
    assert (facts["near_leaked_passages"], facts["leaked_passages"]) == (1, 0)
    assert facts["near_leaked_questions"] == 0
    _, facts = collect(world, spec(), Guard.of([pair_table(["what is iron in beans"], ["x"])], near=True))
    assert facts["near_leaked_questions"] == 0
    _, facts = collect(world, spec(), Guard.of([pair_table(["the iron in a bean"], ["x"])], near=True))
    assert facts["near_leaked_questions"] == 1


def test_a_run_of_another_engine_stands_in_for_search(world: Path) -> None:
    (world / "questions.tsv").write_text("qid\tquestion\nq1\ttea minutes\nq2\tiron in beans\nq3\teggs\n")
    (world / "other.run").write_text(
        "q1 Q0 u/iron 1 7.5 x\nq1 Q0 gone 2 7 x\nq1 Q0 u/tea 3 6 x\nq2 Q0 u/eggs 1 3 x\nq9 Q0 u/tea 1 1 x\n"
    )
    corpus, facts = collect(world, spec(questions="questions.tsv", run="other.run"))
    assert rows(corpus) == [
        ("tea minutes", "Spinach and beans have iron.", "u/iron", 1),
        ("tea minutes", "Steep tea for two minutes.", "u/tea", 3),
        ("iron in beans", "Cook eggs for eight minutes.", "u/eggs", 1),
    ]
    assert corpus.table()["score"].to_pylist() == [7.5, 6.0, 3.0]
    assert corpus.table()["group"].to_pylist() == ["q1", "q1", "q2"]
    assert (facts["run_unknown_documents"], facts["run_unknown_questions"]) == (1, 1)
    assert facts["questions_without_passages"] == 1


def test_passages_may_have_the_ids_that_a_run_names(world: Path) -> None:
    (world / "collection.tsv").write_text("p7\tGreen tea.\np8\tBlack tea.\n")
    (world / "questions.tsv").write_text("q1\ttea minutes\n")
    (world / "other.run").write_text("q1 Q0 p8 1 2 x\n")
    recipe = CollectSpec.model_validate(
        {
            "task": "toy",
            "passages": {"file": "collection.tsv", "header": ["pid", "passage"]},
            "questions": {"file": "questions.tsv", "header": ["group", "question"]},
            "run": "other.run",
        }
    )
    assert rows(collect(world, recipe)[0]) == [("tea minutes", "Black tea.", "p8", 1)]


def test_a_limit_below_one_questions_pairs_is_reported(world: Path) -> None:
    with pytest.raises(TmkdError, match="no pairs: not one question's pairs fit into the limit of 1; raise it"):
        collect(world, spec(limit=1, questions="tea.txt"))


def test_ms_marcos_top1000_is_given_as_pairs(world: Path) -> None:
    (world / "top1000.tsv").write_text("7\td1\tis tea hot\tTea is hot.\n7\td2\tis tea hot\tIce is cold.\n")
    source = {"file": "top1000.tsv", "header": ["group", "url", "question", "passage"]}
    corpus, _ = collect(world, CollectSpec.model_validate({"task": "toy", "pairs": source}))
    assert rows(corpus) == [("is tea hot", "Tea is hot.", None, None), ("is tea hot", "Ice is cold.", None, None)]
    assert corpus.table()["group"].to_pylist() == ["7", "7"]


def test_a_run_that_names_nothing_of_ours_is_refused(world: Path) -> None:
    (world / "questions.tsv").write_text("qid\tquestion\nq1\ttea minutes\n")
    (world / "other.run").write_text("q9 Q0 u/tea 1 1 x\n")
    with pytest.raises(
        TmkdError, match=r"other\.run: has no question id of the question files: it has 'q9', they have"
    ):
        collect(world, spec(questions="questions.tsv", run="other.run"))
    (world / "other.run").write_text("q1 Q0 gone 1 1 x\n")
    with pytest.raises(TmkdError, match=r"none of 1 documents .*: the run has 'gone', the index '.*'; map .*columns:"):
        collect(world, spec(questions="questions.tsv", run="other.run"))


def test_no_pairs_is_an_error(world: Path) -> None:
    (world / "questions.txt").write_text("zzz\n")
    with pytest.raises(TmkdError, match="collect web: no pairs"):
        collect(world, spec())


def test_a_missing_file_is_named(world: Path) -> None:
    with pytest.raises(TmkdError, match=r"none\.jsonl"):
        collect(world, spec(documents="none.jsonl"))


def test_a_shuffled_corpus_is_a_part_of_a_larger_one_with_the_given_pairs_first(world: Path) -> None:
    whole, facts = collect(world, spec(pairs="pairs.tsv"), out="whole")
    shuffled = {"pairs": "pairs.tsv", "shuffle": True}
    every, _ = collect(world, spec(**shuffled), out="every")
    assert sorted(map(str, rows(every))) == sorted(map(str, rows(whole)))
    assert rows(every)[:2] == rows(whole)[:2]
    assert rows(every) != rows(whole)
    for limit in (2, 4, 6):
        part, counted = collect(world, spec(**shuffled, limit=limit), out=f"part-{limit}")
        assert rows(part) == rows(every)[:limit]
        assert counted["pairs"] == limit
        assert counted["found_pairs"] == facts["found_pairs"]
