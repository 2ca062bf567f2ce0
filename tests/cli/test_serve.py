"""The verb that serves: wrong usage, tokens, and what it gives to the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny import Call, World
from tmkd.cli.serve import TOKEN
from tmkd.serve import workers
from tmkd.serve.worker import ServerSettings


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """Settings of the servers that would have been started."""
    seen: list[ServerSettings] = []
    monkeypatch.setattr(workers, "run_server", lambda settings, number, tell: seen.append(settings))
    return seen


def test_a_bundle_is_served_on_loopback(tmkd: Call, given: list[ServerSettings], tmp_path: Path) -> None:
    assert tmkd("serve", tmp_path, "--index", tmp_path / "index", "--host-name", "box").code == 0
    (settings,) = given
    assert (settings.places.bundle, settings.places.index) == (tmp_path, tmp_path / "index")
    assert (settings.host, settings.port, settings.host_names) == ("127.0.0.1", 8080, ("box",))
    assert settings.token is None


def test_a_token_comes_from_a_file_or_the_environment(
    tmkd: Call, given: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.setenv(TOKEN, "from-the-environment")
    tmkd("serve", tmp_path, "--token-file", tmp_path / "token")
    tmkd("serve", tmp_path)
    assert [settings.token for settings in given] == ["from-a-file", "from-the-environment"]
    assert "from-a-file" not in repr(given)


def test_origins_are_given_as_browsers_send_them(tmkd: Call, given: list[ServerSettings], tmp_path: Path) -> None:
    origins = ("https://shop.example", "http://localhost:3000", "http://[::1]:3000")
    assert tmkd("serve", tmp_path, *(word for one in origins for word in ("--cors-origin", one))).code == 0
    assert given[0].origins == origins


@pytest.mark.parametrize("origin", ["*", "shop.example", "https://shop.example/", "https://shop.example/page", ""])
def test_what_no_browser_sends_as_an_origin_is_refused(
    tmkd: Call, given: list[ServerSettings], tmp_path: Path, origin: str
) -> None:
    said = tmkd("serve", tmp_path, "--cors-origin", origin)
    assert (said.code, given) == (2, [])
    assert f"--cors-origin {origin}: no origin" in said.err


@pytest.mark.parametrize("content", ["", " \n", "two words", "schlüssel"])
def test_a_token_is_one_word(tmkd: Call, given: list[ServerSettings], tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    said = tmkd("serve", tmp_path, "--token-file", tmp_path / "token")
    assert (said.code, given) == (2, [])
    assert "one word" in said.err


def test_a_token_file_that_is_not_there_is_told(tmkd: Call, given: list[ServerSettings], tmp_path: Path) -> None:
    assert tmkd("serve", tmp_path, "--token-file", tmp_path / "token").code == 2


def test_a_store_needs_its_index(tmkd: Call, given: list[ServerSettings], tmp_path: Path) -> None:
    said = tmkd("serve", tmp_path, "--lookup", "somewhere")
    assert (said.code, "needs --index" in said.err) == (2, True)
    assert tmkd("serve", tmp_path, "--set", "seeds=[1]").code == 2


def test_a_recipe_names_its_own_folders(tmkd: Call, given: list[ServerSettings], world: World) -> None:
    assert "names its own" in tmkd("serve", world.recipe, "--index", world.runs).err
    said = tmkd("serve", world.recipe, "--runs", world.runs)
    assert (said.code, given) == (2, [])
    assert "does not say what to serve" in said.err


def test_a_run_that_is_not_made_is_told(tmkd: Call, given: list[ServerSettings], world: World) -> None:
    said = tmkd("serve", world.recipe, "--runs", world.runs, "--set", "serve.collect=web", "--set", "export.row=tmkd")
    assert (said.code, given) == (1, [])
    assert "run tmkd collect first" in said.err
