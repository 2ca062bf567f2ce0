"""Error messages on a recipe: the keys they offer, the values they show."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tmkd.recipe.messages import keys_at, line_of, short


def test_the_keys_of_a_place_are_those_of_its_part() -> None:
    assert "rows" in keys_at([])
    assert "stages" in keys_at([])
    assert keys_at(["rows"]) == []
    assert (
        keys_at(["rows", "r", "stages", 0, "fit"])
        == keys_at(["stages", "s", "fit"])
        == keys_at(["teachers", "fit", "fit"])
    )
    assert keys_at(["tasks", "train", "train", 0]) == keys_at(["teachers", "t", "file"])
    assert keys_at(["pretrained", "hub"]) == [
        "folder",
        "hub",
        "revision",
        "package",
        "wheels",
        "tokenizer",
        "sha256",
        "seen",
    ]
    assert keys_at(["name", "x"]) == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=30))
def test_a_value_fits_into_a_line(value: object) -> None:
    assert len(short(value)) <= 42


def test_a_long_value_is_cut() -> None:
    assert short("a" * 60) == "'" + "a" * 36 + "..."
    assert short([1, None, True]) == "[1, null, true]"


def test_a_line_is_that_of_the_deepest_key_the_file_has() -> None:
    node = yaml.compose("name: r\nrows:\n  mkd:\n    stages:\n    - alpha: 1\n    - {}\n")
    assert node is not None
    assert [
        line_of(node, place)
        for place in (["student"], ["rows", "mkd", "extra"], ["rows", "mkd", "stages", 1, "alpha"], ["name"])
    ] == [1, 3, 6, 1]
