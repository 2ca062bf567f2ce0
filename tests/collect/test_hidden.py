from __future__ import annotations

import pytest

from tmkd.collect.html import Page, read_page

QUESTIONS = {
    "How long does delivery take?": "Delivery takes three working days in the country and up to ten days abroad.",
    "Can I send it back?": "You may send every article back within thirty days, and we return the price after that.",
    "Which cards do you take?": "We take all of the usual credit cards, and bank transfer for orders of some size.",
}


def text(body: str) -> str:
    page = f"<html><head><title>Shop</title></head><body><main><h1>Shop</h1>{body}</main></body></html>"
    found = read_page(page.encode())
    assert isinstance(found, Page)
    return found.text


def faq(form: str) -> str:
    return "".join(form.format(q=q, a=a, n=n) for n, (q, a) in enumerate(QUESTIONS.items()))


@pytest.mark.parametrize(
    "form",
    [
        '<h3><button aria-expanded="false">{q}</button></h3><div hidden="until-found"><p>{a}</p></div>',
        '<h3>{q}</h3><div style="display:none" role="region" aria-labelledby="q"><p>{a}</p></div>',
        "<details><summary>{q}</summary><p>{a}</p></details>",
        '<button class="accordion">{q}</button><div class="panel" style="display: none"><p>{a}</p></div>',
        '<div role="button" aria-expanded="false" class="b-button">{q}</div><div hidden><p>{a}</p></div>',
        '<h2><button data-bs-toggle="collapse" data-bs-target="#c{n}">{q}</button></h2>'
        '<div id="c{n}" class="accordion-collapse collapse"><div class="accordion-body">{a}</div></div>',
        '<div><h5><a href="#c{n}" data-toggle="collapse">{q}</a></h5></div>'
        '<div id="c{n}" style="display:none">{a}</div>',
        '<h3>{q}</h3><div class="answer hidden"><p>{a}</p></div>',
        '<h3>{q}</h3><div style="max-height:0; overflow:hidden"><p>{a}</p></div>',
        '<h3>{q} <span aria-hidden="true">+</span></h3><div aria-hidden="true" class="accordion-content">{a}</div>',
        '<div><div><h3>{q}</h3></div><div><div style="visibility:hidden"><p>{a}</p></div></div></div>',
        "<h3>{q}</h3><p hidden>{a}</p>",
        '<label for="k{n}">{q}</label><div class="tab-content" style="display:none"><p>{a}</p></div>',
        '<div role="button" aria-controls="e{n}" aria-expanded="false"><a class="title" tabindex="0">{q}</a></div>'
        '<div id="e{n}" role="region" style="display:none"><p>{a}</p></div>',
        '<span role="button" tabindex="0">{q}</span><div style="display:none"><p>{a}</p></div>',
        '<p><strong>{q}</strong></p><div style="display:none"><p>{a}</p></div>',
        '<div class="faq-question">{q}</div><div class="faq-answer" style="display:none"><p>{a}</p></div>',
        '<div><h3><a href="#a{n}">{q}</a></h3><p id="a{n}">{a}</p></div>',
        '<div><h3>{q}</h3><div itemprop="acceptedAnswer" style="display:none"><div>{a}</div></div></div>',
    ],
)
def test_an_answer_that_is_hidden_until_opened_stands_under_its_question(form: str) -> None:
    assert text(faq(form)) == "\n\n".join(f"{q}:\n\n{a}" for q, a in QUESTIONS.items())


@pytest.mark.parametrize(
    "form", ["<dt>{q}</dt><dd hidden>{a}</dd>", "<li><button>{q}</button><div hidden>{a}</div></li>"]
)
def test_hidden_answers_of_a_list_follow_their_questions(form: str) -> None:
    tag = "dl" if "<dt>" in form else "ul"
    assert text(f"<{tag}>{faq(form)}</{tag}>").split("\n") == [part for both in QUESTIONS.items() for part in both]


def test_a_button_behind_its_answer_is_no_heading_of_the_next_answer() -> None:
    answers = faq('<div id="a{n}" hidden><p>{a}</p></div><button aria-controls="a{n}">{q}</button>')
    found = text(f"<p>Some answers.</p>{answers}")
    assert found == "\n\n".join(["Some answers.", *(f"{q}:\n\n{a}" for q, a in QUESTIONS.items())])


@pytest.mark.parametrize(
    "following",
    ["<h4>{q}</h4><p>{a}</p>", "<div><p><b>{q}</b></p><p>{a}</p></div>", "<dl><dt>{q}</dt><dd>{a}</dd></dl>"],
)
def test_a_heading_whose_answer_is_left_out_does_not_stand_over_the_next_question(following: str) -> None:
    (first, hidden), (second, answer) = list(QUESTIONS.items())[:2]
    found = text(f'<h3>{first}</h3><div class="tooltip" hidden>{hidden}</div>{following.format(q=second, a=answer)}')
    assert first not in found
    assert answer in found
    found = text(f'<h3>{first}</h3><div class="tooltip" hidden>{second}</div><p>{hidden}</p>')
    assert found == f"{first}:\n\n{hidden}"  # its own answer follows


def test_answers_that_belong_to_no_heading_for_sure_are_left_out() -> None:
    heads, answers = faq("<h3>{q}</h3>"), faq("<p>{a}</p>")
    assert (
        text(f'<p>{"Tea is here. " * 9}</p><div>{heads}</div><div class="answers" hidden>{answers}</div>')
        == ("Tea is here. " * 9).strip()
    )


def test_a_panel_is_read_under_what_labels_it() -> None:
    first, second = list(QUESTIONS)[:2]
    tabs = f'<div role="tablist"><a role="tab" id="t0">{first}</a><a role="tab" id="t1">{second}</a></div>'
    panels = f'<div role="tabpanel"><h3>{first}</h3><p>{QUESTIONS[first]}</p></div>'
    panels += f'<div role="tabpanel" aria-labelledby="t1" hidden><p>{QUESTIONS[second]}</p></div>'
    assert text(tabs + panels).endswith(f"{first}:\n\n{QUESTIONS[first]}\n\n{second}:\n\n{QUESTIONS[second]}")


def test_a_tab_panel_is_read_under_the_name_of_its_tab() -> None:
    tabs = "".join(f'<li><a role="tab" href="#t{n}">{q}</a></li>' for n, q in enumerate(QUESTIONS))
    panels = faq('<div role="tabpanel" id="t{n}" hidden><p>{a}</p></div>').replace("hidden", "", 1)
    assert text(f'<ul role="tablist">{tabs}</ul>{panels}') == "\n\n".join(f"{q}:\n\n{a}" for q, a in QUESTIONS.items())


@pytest.mark.parametrize(
    "junk",
    [
        '<div role="dialog" hidden><p>{}</p></div>',
        '<div class="modal" style="display:none"><p>{}</p></div>',
        '<nav style="display:none"><div class="panel" hidden><p>{}</p></div></nav>',
        '<form hidden class="answer"><p>{}</p></form>',
        '<span style="display:none">{}</span>',
        "<div hidden><p>{}</p></div>",
        '<div class="cookie-panel" aria-hidden="true"><p>{}</p></div>',
    ],
)
def test_hidden_parts_that_hold_no_text_of_the_page_are_left_out(junk: str) -> None:
    first, second, third = QUESTIONS.values()
    page = f"<h3>Delivery</h3><p>{first}</p>{junk.format(second)}<h3>Cards</h3><p>{third}</p>"
    assert text(page) == f"Delivery:\n\n{first}\n\nCards:\n\n{third}"


def test_no_heading_stands_over_the_answer_of_another() -> None:
    first, second, third = QUESTIONS.values()
    lost = f'<div><h4>Back</h4><div role="dialog" hidden><p>{second}</p></div></div>'
    assert text(f"<h3>Delivery</h3><p>{first}</p>{lost}<p>{third}</p>") == f"Delivery:\n\n{first}\n\n{third}"
    assert "Back" not in text(f"<h3>Delivery</h3><p>{first}</p>{lost}<h5>Cards</h5><p>{third}</p>")
