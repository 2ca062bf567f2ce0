"""What a process serves: settings of the store, stores that do not fit, the line on the deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tiny
from serving import QUESTION, Client, opened, write_index
from stores import write_store
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn, shard_path, write_shard
from tmkd.errors import TmkdError
from tmkd.serve.answer import AnswerSettings
from tmkd.serve.answer_value import Answer
from tmkd.serve.limits import Limits
from tmkd.serve.served import Places, Served
from tmkd.serve.store_origin import ScoredBy, StoreOrigin
from tmkd.store import sealed, write_manifest


def store_of(folder: Path, bundle: Path, index: Path, top: int = 7, threshold: float = 0.25) -> Path:
    """A store with one answer to QUESTION."""
    scored_by = ScoredBy(sealed(bundle).digest, "int8", "onnxruntime", 1, sealed(index).digest, top, 3)
    write_store(folder, {QUESTION: [Answer(4, 0.5)]}, StoreOrigin(scored_by, threshold))
    return folder


def test_a_store_brings_its_settings(made: tuple[Path, Path], index_folder: Path, tmp_path: Path) -> None:
    store = store_of(tmp_path / "lookup", made[1], index_folder)
    served = opened(made[1], index_folder, lookup=str(store))
    assert served.answerer is not None
    assert served.answerer.settings == AnswerSettings(top=7, keep=3, threshold=0.25)
    client = Client(served)
    assert client.get("/answer?q=" + QUESTION.replace(" ", "+")).json["route"] == "head"
    assert len(client.get("/info").json["digests"]["lookup"]) == 64
    served.close()


def test_the_page_s_examples_are_questions_that_the_store_answers(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path
) -> None:
    some = tuple(tiny.question(topic) for topic in range(9))
    assert QUESTION in some
    served = opened(made[1], index_folder, examples=some)
    assert Client(served).get("/info").json["examples"] == [*some[:6]]
    served.close()
    store = store_of(tmp_path / "lookup", made[1], index_folder)
    served = opened(made[1], index_folder, examples=some, lookup=str(store))
    assert Client(served).get("/info").json["examples"] == [QUESTION]
    served.close()


def test_teachers_that_have_scored_the_pairs_of_an_answer_are_shown(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path, corpus: Callable[..., Corpus]
) -> None:
    pairs = corpus([(QUESTION, tiny.passage(topic, True), None) for topic in range(len(tiny.TOPICS))])
    column = TeacherColumn("ann", "a" * 64, tmp_path)
    logits = np.tile(np.array([0, np.log(3)], dtype=np.float32), (len(pairs), 1))
    write_shard(shard_path(tmp_path, "a" * 64, pairs.shards[0].digest), logits, "a" * 64, pairs.shards[0].digest)
    served = opened(made[1], index_folder, corpus=pairs.folder, teachers=(column,))
    client, asked = Client(served), f"/answer?teachers=true&q={QUESTION.replace(' ', '+')}"
    assert client.get("/info").json["page"]["side_by_side"]
    shown = [one["teachers"] for one in client.get(asked).json["answers"] if "teachers" in one]
    assert shown == [{"ann": pytest.approx(0.75)}] * len(shown)
    assert shown
    served.close()


def test_without_a_corpus_that_can_be_read_no_teacher_is_shown(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    column = TeacherColumn("ann", "a" * 64, tmp_path)
    served = opened(made[1], index_folder, corpus=tmp_path, teachers=(column,))
    assert "teachers are not shown" in caplog.text
    assert not Client(served).get("/info").json["page"]["side_by_side"]
    served.close()


def test_a_store_of_another_bundle_or_index_is_not_used(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = write_index(tmp_path / "index")
    (other / "more").write_text("x")
    write_manifest(other, "index", {}, {}, {}, 0.0)
    store = store_of(tmp_path / "lookup", made[1], other)
    served = opened(made[1], index_folder, lookup=str(store))
    assert "of another index" in caplog.text
    assert Client(served).get("/answer?q=" + QUESTION.replace(" ", "+")).json["route"] == "tail"
    served.close()


def test_a_later_version_of_the_store_brings_its_own_settings(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path
) -> None:
    store = store_of(tmp_path / "lookup", made[1], index_folder)
    served = opened(made[1], index_folder, lookup=str(store), settings=AnswerSettings(deadline_ms=5000))
    answerer, asked = served.answerer, "/answer?q=" + tiny.question(5).replace(" ", "+")
    assert answerer is not None
    client = Client(served)
    assert [client.get(asked).json["route"] for _ in range(2)] == ["tail", "cache"]
    store_of(store, made[1], index_folder, top=4, threshold=0.0)
    assert answerer.store is not None
    answerer.store.refresh()
    assert client.get(asked).json["route"] == "tail"  # what was kept under the other settings is not used
    assert answerer.settings == AnswerSettings(top=4, keep=3, threshold=0.0, deadline_ms=5000)
    served.close()


def test_without_a_store_that_was_asked_for_all_is_ranked(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        served = opened(made[1], index_folder, lookup=str(tmp_path / "nowhere"))
    assert "ranked on the fly" in caplog.text
    served.close()


def test_an_index_that_is_none_ends_the_start(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TmkdError):
        Served(Places(made[1], tmp_path), Limits())


@pytest.mark.parametrize(
    ("deadline", "said"),
    [
        (None, "no deadline"),
        (60_000, "passages fit into the deadline of 60000 ms"),
        (0.01, "warning: only 0 passages fit into the deadline of 0.01 ms, of 10"),
    ],
)
def test_the_start_says_how_many_passages_fit_the_deadline(
    made: tuple[Path, Path], index_folder: Path, deadline: float | None, said: str
) -> None:
    served = Served(Places(made[1], index_folder, settings=AnswerSettings(deadline_ms=deadline)), Limits(), threads=1)
    line = served.warm_up()
    assert said in line
    assert line.startswith("warning") == (deadline == 0.01)
    served.close()
