"""The web page in a real browser: what is typed, what is shown, and every state between."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest

from serving import QUESTION, server
from stub_server import Question, Reply, Stub, stub_server

pytestmark = [pytest.mark.slow, pytest.mark.browser]

INFO = {
    "model_id": "demo",
    "engine": "kernel",
    "precision": "int8",
    "width": 2,
    "examples": ["how long do I cool a burn", "can pilots see turbulence"],
}
PASSAGE = "Ice is a poor choice. Hold a fresh burn under cool running water for twenty minutes. Take off rings."
ATTACK = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def found(passage: str = PASSAGE, **changes: Any) -> dict[str, Any]:
    """An answer as the server sends it."""
    start = passage.find("Hold")
    best = [start, passage.index(".", start) + 1] if start >= 0 else [0, len(passage)]
    source = {"url": "https://firstaid.example/minor-burns", "title": "Minor burns and scalds"}
    return {"passage": passage, "score": 0.9312, **source, "ranked": True, "best_sentence": best} | changes


def reply(*answers: dict[str, Any], **changes: Any) -> Reply:
    """A reply of /answer with these answers."""
    times = {"lookup": 0.012, "search": 1.2, "rank": 4.6, "total": 6.1}
    counts = {"threshold": 0.5, "candidates": 30, "ranked": 10}
    return Reply({"question": "", "route": "tail", "answers": [*answers], **counts, "milliseconds": times} | changes)


@pytest.fixture(scope="module")
def browser(absent: Callable[[str], NoReturn]) -> Iterator[Any]:
    """Chromium from PATH."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed: python -m pip install -c constraints.txt -e '.[browser]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        absent("no chromium on PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stub_server() as stub:
        stub.info = Reply(INFO)
        stub.answer = lambda question: reply(found())
        yield stub


@pytest.fixture
def page(browser: Any, stub: Stub) -> Iterator[Any]:
    """The page, opened; at the end it has met no error, no dialog and no other server."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.extend([] if "Failed to load" in line.text else [line.text]))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("request", lambda one: faults.extend([] if one.url.startswith(stub.address) else [one.url]))
    page.goto(stub.address)
    yield page
    context.close()
    assert faults == []


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    return expect(locator)


def ask(page: Any, question: str) -> None:
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")


def answers(page: Any) -> Any:
    return page.locator("#answers li")


# -- answers -------------------------------------------------------------------------------------------------------


def test_a_typed_question_is_answered_with_its_best_sentence_marked(page: Any, stub: Stub) -> None:
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("how do I cool a burn?")
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(1)
    expect(page.locator("mark")).to_have_text("Hold a fresh burn under cool running water for twenty minutes.")
    expect(page.locator(".passage")).to_have_text(PASSAGE)
    assert [question.text for question in stub.asked] == ["how do I cool a burn?"]
    assert page.url == f"{stub.address}?q=how%20do%20I%20cool%20a%20burn%3F"
    assert page.title() == "how do I cool a burn? – tmkd"


def test_a_sentence_after_characters_beyond_the_basic_plane_is_marked(page: Any, stub: Stub) -> None:
    passage = "𝒜 🧊🧊 is cold 👩‍🚒. Hold 🔥 under 💧. Then dry 🧻."
    stub.answer = lambda question: reply(found(passage))
    ask(page, "burn")
    expect(page.locator("mark")).to_have_text("Hold 🔥 under 💧.")
    expect(page.locator(".passage")).to_have_text(passage)


def test_a_score_is_a_bar_with_the_threshold_in_it(page: Any, stub: Stub) -> None:
    ask(page, "burn")
    bar = page.get_by_role("meter")
    expect(bar).to_have_attribute("aria-valuenow", "0.9312")
    expect(page.locator(".number")).to_have_text("0.931")
    whole, filled, tick = (page.locator(name).bounding_box() for name in (".bar", ".bar i", ".bar b"))
    assert filled["width"] / whole["width"] == pytest.approx(0.9312, abs=0.01)
    assert (tick["x"] - whole["x"]) / whole["width"] == pytest.approx(0.5, abs=0.01)


def test_the_source_is_a_link_with_its_host(page: Any, stub: Stub) -> None:
    ask(page, "burn")
    link = answers(page).get_by_role("link", name="Minor burns and scalds")
    expect(link).to_have_attribute("href", "https://firstaid.example/minor-burns")
    expect(page.locator(".host")).to_have_text("firstaid.example")


@pytest.mark.parametrize(
    ("url", "title", "shown"),
    [
        ("javascript:alert(1)", "Burns", "Burnsjavascript:alert(1)"),
        ("data:text/html,x", "", "data:text/html,x"),
        ("doc-17", "Burns", "Burnsdoc-17"),
        ("", "", "no title"),
    ],
)
def test_a_source_that_is_no_web_address_is_no_link(page: Any, stub: Stub, url: str, title: str, shown: str) -> None:
    stub.answer = lambda question: reply(found(url=url, title=title))
    ask(page, "burn")
    expect(page.locator(".source")).to_have_text(shown)
    expect(page.locator("#answers a[href]")).to_have_count(0)


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ("head", "head looked up, computed before · 1 answer · threshold 0.50"),
        ("tail", "tail ranked now · 1 answer · threshold 0.50 · 10 of 30 candidates ranked"),
        ("cache", "cache ranked a moment ago · 1 answer · threshold 0.50 · 10 of 30 candidates ranked"),
    ],
)
def test_the_route_and_the_milliseconds_of_each_phase_are_told(page: Any, stub: Stub, route: str, told: str) -> None:
    stub.answer = lambda question: reply(found(), route=route)
    ask(page, "burn")
    expect(page.locator("#facts p").first).to_have_text(told)
    expect(page.locator(".times")).to_have_text("look-up < 0.1 mssearch 1.2 msranking 4.6 mstotal 6.1 ms")
    widths = page.eval_on_selector_all(".phases i", "parts => parts.map((part) => part.style.width)")
    assert [float(width.removesuffix("%")) for width in widths] == pytest.approx([0.2, 19.7, 75.4], abs=0.1)


def test_phases_that_a_route_has_not_are_not_told(page: Any, stub: Stub) -> None:
    times = {"lookup": 0.1, "search": 0.0, "rank": 0.0, "sentences": 2.04, "total": 7.9}
    stub.answer = lambda question: reply(found(), milliseconds=times)
    ask(page, "burn")
    expect(page.locator(".times")).to_have_text("look-up 0.1 msbest sentences 2.0 mstotal 7.9 ms")


def test_answers_that_the_deadline_left_unranked_are_told(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: reply(found(), found(score=None, ranked=False), ranked=1)
    ask(page, "burn")
    expect(page.locator(".number")).to_have_text(["0.931", "not ranked"])
    expect(page.locator(".counts")).to_contain_text(
        "1 of 30 candidates ranked · the others as the search found them: the time was up"
    )


def test_teachers_stand_below_the_student(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: reply(found(teachers={"t1": 0.97, "t2": 0.88}))
    ask(page, "burn")
    expect(page.locator(".who")).to_have_text(["student", "t1", "t2"])
    expect(page.locator(".number")).to_have_text(["0.931", "0.970", "0.880"])


def test_an_example_is_asked_by_a_click(page: Any, stub: Stub) -> None:
    page.get_by_role("link", name="can pilots see turbulence").click()
    expect(answers(page)).to_have_count(1)
    expect(page.locator("#question")).to_have_value("can pilots see turbulence")
    expect(page.locator("#examples")).to_be_hidden()
    expect(page.locator("#model")).to_have_text("demo · kernel, int8, 2 bytes an input")


def test_an_address_with_a_question_is_answered_and_back_leads_to_it(page: Any, stub: Stub) -> None:
    page.goto(f"{stub.address}?q=first")
    expect(answers(page)).to_have_count(1)
    ask(page, "second")
    expect(page).to_have_title("second – tmkd")
    page.go_back()
    expect(page).to_have_title("first – tmkd")
    expect(page.locator("#question")).to_have_value("first")
    assert [question.text for question in stub.asked] == ["first", "second", "first"]


def test_a_newer_question_replaces_one_still_under_way(page: Any, stub: Stub) -> None:
    go_on = threading.Event()

    def answer(question: Question) -> Reply:
        if question.text == "old":
            go_on.wait(10)
        return reply(found(f"Hold the answer to {question.text}."))

    stub.answer = answer
    ask(page, "old")
    ask(page, "new")
    expect(page.locator("mark")).to_have_text("Hold the answer to new.")
    go_on.set()
    page.wait_for_timeout(200)
    expect(page.locator("mark")).to_have_text("Hold the answer to new.")


# -- other states --------------------------------------------------------------------------------------------------


def test_no_answer_is_told_with_the_threshold_and_examples(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: reply()
    ask(page, "burn")
    told = "No answer found. Its score must be at least 0.50. Other words may find one."
    expect(page.get_by_role("status")).to_have_text(told)
    expect(page.locator("#examples")).to_be_visible()


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (None, "No answer found. Other words may find one."),
        (2.0, "No answer found. No score was precise enough on dev"),
    ],
)
def test_without_a_threshold_that_can_be_reached_none_is_told(
    page: Any, stub: Stub, threshold: float | None, told: str
) -> None:
    stub.answer = lambda question: reply(threshold=threshold)
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text(told)
    stub.answer = lambda question: reply(found(), threshold=threshold)
    ask(page, "burn")
    expect(page.locator(".number")).to_have_text("0.931")
    expect(page.locator(".bar b")).to_be_hidden()


def test_an_error_is_told_and_asked_again_by_a_button(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: Reply({"error": "the index is gone", "error_type": "Backend"}, 500)
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text("The server reports an error: the index is gone (500)")
    stub.answer = lambda question: reply(found())
    page.get_by_role("button", name="Try again").click()
    expect(answers(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_a_server_that_is_gone_is_told(page: Any, stub: Stub) -> None:
    expect(page.locator("#examples li")).to_have_count(2)
    page.route("**/answer?**", lambda route: route.abort())
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text("The server does not answer. Is it still running?")


def test_a_slow_answer_is_told_and_still_shown(page: Any, stub: Stub) -> None:
    go_on = threading.Event()

    def answer(question: Question) -> Reply:
        go_on.wait(20)
        return reply(found())

    stub.answer = answer
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text("This takes longer than usual")
    go_on.set()
    expect(answers(page)).to_have_count(1)
    expect(page.get_by_role("status")).to_be_hidden()


def test_a_slow_answer_can_be_given_up(page: Any, stub: Stub) -> None:
    go_on = threading.Event()

    def answer(question: Question) -> Reply:
        go_on.wait(20)
        return reply(found())

    stub.answer = answer
    ask(page, "burn")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_be_hidden()
    go_on.set()
    page.wait_for_timeout(200)
    expect(answers(page)).to_have_count(0)


def test_an_overloaded_server_is_asked_again_after_the_wait_it_tells(page: Any, stub: Stub) -> None:
    times: list[float] = []

    def answer(question: Question) -> Reply:
        times.append(time.monotonic())
        body = {"error": "too many", "error_type": "Overloaded"}
        return Reply(body, 429, {"Retry-After": "2", "retry-after-ms": "1200"}) if len(times) == 1 else reply(found())

    stub.answer = answer
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text("The server is busy. Asking again in 2 s.")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(answers(page)).to_have_count(1)
    assert len(times) == 2
    assert times[1] - times[0] >= 1.2


def test_a_server_that_stays_overloaded_is_left_alone(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: Reply({"error": "too many"}, 429, {"retry-after-ms": "20"})
    ask(page, "burn")
    expect(page.get_by_role("status")).to_contain_text("The server is too busy at present.")
    assert len(stub.asked) == 4
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("The server is too busy at present.")
    assert len(stub.asked) == 8


def test_a_token_is_asked_once_and_kept_for_the_tab(page: Any, stub: Stub) -> None:
    stub.token = "secret"
    page.goto(f"{stub.address}?q=burn")
    expect(page.get_by_label("This server asks for a token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The server does not accept this token.")
    page.keyboard.type("secret")
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(1)
    page.reload()
    expect(answers(page)).to_have_count(1)
    expect(page.locator("#token")).to_be_hidden()
    assert {question.token for question in stub.asked} == {"Bearer secret"}
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_without_a_token_none_is_sent(page: Any, stub: Stub) -> None:
    ask(page, "burn")
    expect(answers(page)).to_have_count(1)
    assert [question.token for question in stub.asked] == [None]


# -- security ------------------------------------------------------------------------------------------------------


def test_markup_from_outside_is_shown_as_text(page: Any, stub: Stub) -> None:
    stub.info = Reply(INFO | {"model_id": ATTACK, "examples": [ATTACK]})
    stub.answer = lambda question: reply(found(ATTACK, title=ATTACK, teachers={ATTACK: 0.5}), route=ATTACK)
    page.reload()
    page.locator("#examples a").click()
    for place in (".source a", "mark", ".route", ".teacher .who"):
        expect(page.locator(place)).to_have_text(ATTACK)
    expect(page.locator("#model")).to_contain_text(ATTACK)
    stub.answer = lambda question: Reply({"error": ATTACK}, 500)
    ask(page, ATTACK)
    expect(page.get_by_role("status")).to_contain_text(ATTACK)
    expect(page.locator("img, main script")).to_have_count(0)


def test_the_page_is_made_of_its_own_files(page: Any, stub: Stub) -> None:
    ask(page, "burn")
    expect(answers(page)).to_have_count(1)
    assert {*stub.fetched} <= {"/", "/page.css", "/page.js", "/icon.svg", "/info", "/answer"}
    assert (
        page.evaluate("document.querySelectorAll('style, [style]:not(.bar *):not(.phases *), [onclick]').length") == 0
    )


# -- keys ----------------------------------------------------------------------------------------------------------


def test_the_page_is_used_by_keys_alone(page: Any, stub: Stub) -> None:
    stub.answer = lambda question: reply(found(title="one", url=f"{stub.address}?q=source"), found(title="two"))
    box = page.locator("#question")
    expect(page.locator("#examples li")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#examples a").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(2)
    expect(box).to_be_focused()
    for key, place in [("ArrowDown", 0), ("ArrowDown", 1), ("ArrowDown", 1), ("k", 0), ("j", 1), ("ArrowUp", 0)]:
        page.keyboard.press(key)
        expect(answers(page).nth(place)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(box).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    expect(box).to_have_value("how long do I cool a burn")  # "/" is not typed
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(box).to_be_focused()
    page.keyboard.type("a/b")
    expect(box).to_have_value("a/b")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(answers(page).nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_title("source – tmkd")


# -- the real server ----------------------------------------------------------------------------------------------


def test_the_real_server_answers_through_the_page(
    browser: Any, made: tuple[Path, Path], index_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret")
    page = browser.new_page()
    faults: list[str] = []
    page.on("console", lambda line: faults.extend([] if "Failed to load" in line.text else [line.text]))
    with server(made[1], "--index", index_folder, "--token-file", tmp_path / "token") as process:
        page.goto(f"http://127.0.0.1:{process.port}/?q={quote(QUESTION)}")
        page.get_by_label("This server asks for a token").fill("secret")
        page.keyboard.press("Enter")
        expect(answers(page)).to_have_count(5)
        expect(page.locator("mark").first).not_to_be_empty()
        expect(page.locator("#facts")).to_contain_text("6 of 6 candidates ranked")
        expect(page.locator("#facts")).to_contain_text("best sentences")
        ask(page, QUESTION)
        expect(page.locator(".route")).to_have_text("cache")
        expect(page.locator("#model")).not_to_be_empty()
        page.close()
    assert faults == []


# -- looks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(page: Any, stub: Stub, width: int) -> None:
    stub.answer = lambda question: reply(found("Hold " + "x" * 400 + ".", title="y" * 200, teachers={"z" * 60: 0.3}))
    page.set_viewport_size({"width": width, "height": 700})
    ask(page, "burn " * 40)
    expect(answers(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_colours_follow_the_system(page: Any) -> None:
    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    light = brightness()
    page.emulate_media(color_scheme="dark")
    assert brightness() < 100 < 600 < light
