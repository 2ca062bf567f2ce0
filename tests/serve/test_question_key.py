from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tmkd.data.words import text_key
from tmkd.serve.question_key import normalised, question_key


def test_spellings_of_a_question_have_one_key() -> None:
    assert question_key("How long do eggs boil?") == question_key("  how long do EGGS boil ") != question_key("eggs")
    assert question_key("what is C++") != question_key("what is C#")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_unicode_has_a_key_of_16_bytes_that_is_the_guards(question: str) -> None:
    assert normalised(question) == text_key(question)
    assert len(question_key(question)) == 16
