from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from stores import ANSWERS, ORIGIN, numbered, write_store
from tmkd.errors import TmkdError
from tmkd.serve import lookup
from tmkd.serve.answer_value import Answer
from tmkd.serve.lookup import DamagedEntry, LmdbAnswers, check_entries
from tmkd.serve.question_key import question_key
from tmkd.serve.store_version import DATA, POINTER, read_pointer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path)
    return tmp_path


def damage(store: Path, question: str) -> None:
    """Another score for an answer, with the digest as it was."""
    with lmdb.open(str(store / "version-00001"), lock=False) as environment, environment.begin(write=True) as change:
        value = change.get(question_key(question))
        assert value is not None
        change.put(question_key(question), bytes([value[0] ^ 1]) + value[1:])


def test_answers_nothing_above_the_threshold_and_unknown_questions_differ(store: Path) -> None:
    answers = LmdbAnswers(store)
    assert answers.get("Why is the SKY blue?") == ANSWERS["why is the sky blue"]
    assert answers.get("what is rain") == ()
    assert answers.get("what is snow") is None
    assert (len(answers), answers.origin) == (2, ORIGIN)
    answers.close()


def test_a_damaged_entry_is_not_an_answer(store: Path) -> None:
    damage(store, "why is the sky blue")
    answers = LmdbAnswers(store)
    with pytest.raises(DamagedEntry, match=question_key("why is the sky blue").hex()):
        answers.get("why is the sky blue")
    assert answers.get("what is rain") == ()
    answers.close()
    with pytest.raises(TmkdError, match=r"1 of 2 entries are damaged, the first of them [0-9a-f]{32}; remove"):
        check_entries(store)


def test_all_entries_are_checked(store: Path) -> None:
    assert check_entries(store) == 2


def test_a_refresh_follows_the_pointer(store: Path) -> None:
    answers = LmdbAnswers(store)
    write_store(store, {"what is rain": [Answer(7, 0.5)]}, numbered(2))
    assert answers.get("what is rain") == ()
    answers.refresh()
    assert answers.get("what is rain") == (Answer(7, 0.5),)
    assert answers.get("why is the sky blue") is None
    assert answers.origin == numbered(2)
    answers.close()


def test_a_transaction_is_renewed_where_the_pointer_has_not_moved(store: Path) -> None:
    answers = LmdbAnswers(store)
    answers.refresh()
    assert answers.get("what is rain") == ()
    answers.close()


def test_a_look_up_follows_the_pointer_after_a_second(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    answers = LmdbAnswers(store)
    write_store(store, {}, numbered(2))
    now = 100.9
    assert answers.get("what is rain") == ()
    now = 101.0
    assert answers.get("what is rain") is None
    answers.close()


def test_two_swaps_within_a_second_under_readers_with_a_transaction(store: Path) -> None:
    """Each look-up, before, between and after the swaps, gives what one of the versions has."""
    kept = LmdbAnswers(store)
    answers = LmdbAnswers(store)
    wrong: list[object] = []
    ended = threading.Event()
    expected = {(Answer(number, 0.5),) for number in range(9)} | {ANSWERS["why is the sky blue"]}

    def read() -> None:
        while not ended.is_set():
            found = answers.get("why is the sky blue")
            if found not in expected:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(9):
        write_store(store, {"why is the sky blue": [Answer(number, 0.5)]}, numbered(number))
        answers.refresh()
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert answers.get("why is the sky blue") == (Answer(8, 0.5),)
    # A reader that slept meanwhile still has its version, whose file has been unlinked.
    assert kept.get("what is rain") == ()
    kept.close()
    answers.close()


def test_a_pointer_that_cannot_be_followed_is_a_warning_once(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = iter(range(100, 200))  # a second passes between two look-ups
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    answers = LmdbAnswers(store)
    (store / POINTER).write_text("version-00009\n")
    for _ in range(3):
        assert answers.get("what is rain") == ()
    assert [record.getMessage().endswith("; the version before is used") for record in caplog.records] == [True]
    answers.close()


def test_a_version_that_goes_between_the_pointer_and_its_opening_is_followed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swaps = read_pointer, [1]

    def swapped_after(folder: Path) -> str:
        name = real(folder)
        while swaps:
            swaps.pop()
            write_store(store, {"new": []}, numbered(1))
            write_store(store, {"newer": []}, numbered(2))
        return name

    monkeypatch.setattr(lookup, "read_pointer", swapped_after)
    answers = LmdbAnswers(store)
    assert answers.get("newer") == ()
    answers.close()


def test_answers_of_another_bundle_or_index_are_refused(store: Path) -> None:
    answers = LmdbAnswers(store, ORIGIN.scored_by.bundle, ORIGIN.scored_by.index)
    for what in ("bundle", "index"):
        with pytest.raises(TmkdError, match=f"its answers are of another {what}; run precompute again"):
            LmdbAnswers(store, **{what: "a" * 64})
    write_store(store, {}, replace(ORIGIN, scored_by=replace(ORIGIN.scored_by, bundle="a" * 64)))
    with pytest.raises(TmkdError, match="of another bundle"):
        answers.refresh()
    assert answers.get("what is rain") == ()  # the version before stays open
    assert answers.origin == ORIGIN
    answers.close()


def test_a_version_that_cannot_be_opened_is_not_followed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = LmdbAnswers(store)
    (store / POINTER).write_text("version-00009")
    with pytest.raises(TmkdError, match="version-00009: missing; run precompute again"):
        answers.refresh()
    monkeypatch.setattr(lookup, "RENEW_SECONDS", 0.0)
    assert answers.get("what is rain") == ()
    answers.close()


def test_a_folder_without_a_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"no answer store .*tmkd precompute RECIPE"):
        LmdbAnswers(tmp_path)


def test_pages_of_a_damaged_file_are_told(store: Path) -> None:
    path = store / "version-00001" / DATA
    data = bytearray(path.read_bytes())
    data[8192:] = bytes(len(data) - 8192)  # all but the two meta pages
    path.write_bytes(data)
    with pytest.raises(TmkdError, match="damaged"):
        check_entries(store)
