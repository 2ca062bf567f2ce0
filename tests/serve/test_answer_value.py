from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.serve.answer_value import MOST_ANSWERS, MOST_BYTES, Answer, DamagedEntry, decode, encode

KEY = bytes(range(16))
answers = st.lists(st.builds(Answer, st.integers(0, 2**32 - 1), st.floats(0, 1, width=32)), max_size=MOST_ANSWERS).map(
    tuple
)


@given(st.binary(min_size=16, max_size=16), answers)
def test_a_value_is_decoded_as_it_was_encoded(key: bytes, some: tuple[Answer, ...]) -> None:
    value = encode(key, some)
    assert len(value) <= MOST_BYTES
    found = decode(key, value)
    assert found == some
    assert all(isinstance(one, Answer) for one in found)


@given(answers, st.data())
def test_a_changed_bit_is_seen(some: tuple[Answer, ...], data: st.DataObject) -> None:
    value = bytearray(encode(KEY, some))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedEntry, match=KEY.hex()):
        decode(KEY, bytes(value))


@given(answers)
def test_a_value_under_another_key_is_damaged(some: tuple[Answer, ...]) -> None:
    with pytest.raises(DamagedEntry):
        decode(bytes(16), encode(KEY, some))


@given(st.binary(max_size=MOST_BYTES))
def test_any_other_bytes_are_damaged(value: bytes) -> None:
    with pytest.raises(DamagedEntry):
        decode(KEY, value)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="16 answers; a value has at most 15"):
        encode(KEY, [Answer(1, 0.5)] * 16)
    with pytest.raises(struct.error):
        encode(KEY, [Answer(2**32, 0.5)])
