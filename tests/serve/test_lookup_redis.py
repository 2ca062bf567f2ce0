"""The look-up store on a real Redis server, which is taken from PATH."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from stores import ANSWERS, ORIGIN, numbered, write_store
from tmkd.errors import TmkdError
from tmkd.serve import lookup_redis as module
from tmkd.serve.answer_value import Answer, DamagedEntry
from tmkd.serve.lookup import LmdbAnswers
from tmkd.serve.lookup_redis import RedisAnswers, is_url, load_redis, open_answers
from tmkd.serve.question_key import question_key


@pytest.fixture(scope="module")
def server(absent: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server of its own, on a socket in a folder."""
    program = shutil.which("redis-server")
    if program is None:
        absent("redis-server is not in PATH: apt-get install redis-server")
    socket = tmp_path_factory.mktemp("redis") / "socket"
    words = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for line in running.stdout:
        if "ready to accept connections" in line.lower() or "is now ready" in line.lower():
            break
    yield f"unix://{socket}"
    running.terminate()
    running.wait(10)
    running.stdout.close()


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """URL of a store that is the test's alone."""
    return f"{server}#{request.node.name[:40]}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "store")
    return tmp_path / "store"


def keys(url: str) -> set[bytes]:
    import redis

    address, _, name = url.partition("#")
    client = redis.Redis.from_url(address)
    found = set(client.scan_iter(match=f"{name}:*"))
    client.close()
    return found


def test_a_loaded_store_answers_as_the_one_in_the_folder(url: str, store: Path) -> None:
    assert load_redis(url, store) == 2
    remote, local = open_answers(url), open_answers(str(store))
    assert isinstance(remote, RedisAnswers)
    assert isinstance(local, LmdbAnswers)
    for question in ("Why is the SKY blue?", "what is rain", "what is snow"):
        assert remote.get(question) == local.get(question)
    assert (remote.origin, len(remote)) == (local.origin, len(local)) == (ORIGIN, 2)
    remote.close()
    local.close()


def test_the_pointer_is_followed_and_old_versions_go(url: str, store: Path) -> None:
    load_redis(url, store)
    answers = RedisAnswers(url)
    origin = answers.origin
    answers.refresh()
    assert answers.origin is origin
    for number in (1, 2):
        write_store(store, {"what is rain": [Answer(number, 0.5)]}, numbered(number))
        load_redis(url, store)
    # Two swaps within a second: the version that was read has gone.
    assert answers.get("what is rain") == (Answer(2, 0.5),)
    assert answers.origin == numbered(2)
    name = url.partition("#")[2].encode()
    versions = {key.split(b":", 2)[1] for key in keys(url) if key.count(b":") > 1}
    assert versions == {b"2", b"3"}
    assert {name + b":current", name + b":last"} < keys(url)
    answers.close()


def test_a_look_up_follows_the_pointer_after_a_second(url: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_redis(url, store)
    answers = RedisAnswers(url)
    write_store(store, {"what is rain": [Answer(7, 0.5)]}, numbered(2))
    load_redis(url, store)
    assert answers.get("what is rain") == ()
    monkeypatch.setattr(answers, "_due", 0.0)
    assert answers.get("what is rain") == (Answer(7, 0.5),)
    answers.close()


def test_readers_in_several_threads_see_whole_versions(url: str, store: Path) -> None:
    load_redis(url, store)
    answers = RedisAnswers(url)
    wrong: list[object] = []
    ended = threading.Event()
    expected = {(Answer(number, 0.5),) for number in range(5)} | {ANSWERS["why is the sky blue"]}

    def read() -> None:
        while not ended.is_set():
            found = answers.get("why is the sky blue")
            if found not in expected:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(5):
        write_store(store, {"why is the sky blue": [Answer(number, 0.5)]}, numbered(number))
        load_redis(url, store)
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    answers.close()


def test_a_store_of_another_bundle_or_index_is_refused(url: str, store: Path) -> None:
    load_redis(url, store)
    answers = RedisAnswers(url, ORIGIN.scored_by.bundle, ORIGIN.scored_by.index)
    for what in ("bundle", "index"):
        with pytest.raises(TmkdError, match=f"its answers are of another {what}"):
            RedisAnswers(url, **{what: "a" * 64})
    write_store(store, {}, replace(ORIGIN, scored_by=replace(ORIGIN.scored_by, bundle="a" * 64)))
    load_redis(url, store)
    with pytest.raises(TmkdError, match="of another bundle"):
        answers.refresh()
    assert answers.get("what is rain") == ()  # the version before stays
    answers.close()


def test_a_damaged_entry_or_pointer_is_told(url: str, store: Path) -> None:
    import redis

    load_redis(url, store)
    address, _, name = url.partition("#")
    client = redis.Redis.from_url(address)
    client.set(f"{name}:1:".encode() + question_key("what is rain"), b"12345678")
    answers = RedisAnswers(url)
    with pytest.raises(DamagedEntry):
        answers.get("what is rain")
    answers.close()
    for damaged in ("{", '{"format": 2}', "[]", '{"format": 1, "number": 1, "entries": 1, "origin": null}'):
        client.set(f"{name}:current", damaged)
        with pytest.raises(TmkdError, match=r"its pointer is damaged .*; load the store again"):
            RedisAnswers(url)
    client.close()


def test_an_interrupted_load_is_not_read_and_goes_with_the_next(
    url: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_redis(url, store)

    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module._Server, "write_pointer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_redis(url, store)
    answers = RedisAnswers(url)
    assert answers.get("what is rain") == ()
    answers.close()
    load_redis(url, store)
    assert {key.split(b":", 2)[1] for key in keys(url) if key.count(b":") > 1} == {b"1", b"3"}


def test_a_missing_store_is_told(url: str) -> None:
    with pytest.raises(TmkdError, match=r"no answer store; load one with: tmkd precompute RECIPE --lookup URL"):
        RedisAnswers(url)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("redis://user:secret@127.0.0.1:1/0#faq", r"^redis://127.0.0.1:1/0#faq: "),
        ("redis://127.0.0.1:1#a*b", "'a\\*b' is no name of a store"),
        ("redis://127.0.0.1:port", "^redis://127.0.0.1:port#tmkd: "),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_its_password(place: str, message: str) -> None:
    with pytest.raises(TmkdError, match=message) as told:
        RedisAnswers(place)
    assert "secret" not in str(told.value)


def test_a_place_is_a_url_or_a_folder() -> None:
    places = ("redis://h", "rediss://h", "unix:///s", "runs/demo/lookup", "/redis:", "http://h")
    assert [is_url(place) for place in places] == [True, True, True, False, False, False]
