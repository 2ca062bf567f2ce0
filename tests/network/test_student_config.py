from __future__ import annotations

from pathlib import Path

from tmkd.data.labels import LabelSet
from tmkd.data.text import TEXT_RULES
from tmkd.network import StudentConfig
from tmkd.network.headers import Header

LABELS = LabelSet("web", ("no", "yes"), "yes")


def test_it_has_the_headers_and_classes_and_the_encoders_fields_that_the_tokenizer_needs() -> None:
    encoder = {"model_type": "bert", "pad_token_id": 3, "sep_token_id": 4, "eos_token_id": None, "type_vocab_size": 2}
    config = StudentConfig.of(encoder, "first", LABELS, (Header("web/gold", None), Header("web/ann", "aa")), 32)
    assert config.headers == [["web/gold", None], ["web/ann", "aa"]]
    assert (config.task, config.positive, config.id2label) == ("web", "yes", {0: "no", 1: "yes"})
    assert (config.pool, config.max_pair_length, config.text_rules) == ("first", 32, TEXT_RULES)
    assert (config.pad_token_id, config.sep_token_id, config.eos_token_id, config.type_vocab_size) == (3, 4, None, 2)


def test_it_is_read_back_as_written(tmp_path: Path) -> None:
    config = StudentConfig.of({"model_type": "bert"}, "pooler", LABELS, (Header("web/gold", None),), 32)
    config.save_pretrained(tmp_path)
    again = StudentConfig.from_pretrained(tmp_path)
    assert isinstance(again, StudentConfig)
    assert again.to_dict() | {"transformers_version": None} == config.to_dict() | {"transformers_version": None}


def test_a_config_without_rules_has_the_first_reading_of_texts() -> None:
    assert StudentConfig().text_rules == 0
