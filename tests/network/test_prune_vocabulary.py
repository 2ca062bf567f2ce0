from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tmkd.errors import TmkdError
from tmkd.network.prune_vocabulary import cut_tokenizer, kept_pieces

PIECES = ("[PAD]", "moon", "[UNK]", "[CLS]", "[SEP]", "m", "##o", "##n", "sun", "##s", "s", "##u", "shine")


def tokenizer(template: bool = False) -> Tokenizer:
    made = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    if template:
        made.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 3), ("[SEP]", 4)]
        )
    else:
        made.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    return made


COUNTS = np.array([0, 1, 0, 9, 9, 0, 0, 0, 7, 0, 0, 0, 5])  # sun 7, shine 5, moon 1


def test_special_tokens_and_single_characters_stay_and_then_the_most_frequent() -> None:
    assert [PIECES[place] for place in kept_pieces(tokenizer(), COUNTS, 11)] == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "m", "##o", "##n", "sun", "##s", "s", "##u",
    ]  # fmt: skip
    assert PIECES[kept_pieces(tokenizer(), COUNTS, 12)[-1]] == "shine"


@pytest.mark.parametrize("template", [False, True])
def test_a_lost_word_is_spelt_in_pieces_and_special_tokens_have_their_new_ids(template: bool) -> None:
    whole = tokenizer(template)
    cut = cut_tokenizer(whole, kept_pieces(whole, COUNTS, 11))
    assert whole.encode("moon", "sun").tokens == ["[CLS]", "moon", "[SEP]", "sun", "[SEP]"]
    read = cut.encode("moon", "sun")
    assert read.tokens == ["[CLS]", "m", "##o", "##o", "##n", "[SEP]", "sun", "[SEP]"]
    assert read.ids == [2, 4, 5, 5, 6, 3, 7, 3]
    assert read.ids == [cut.token_to_id(token) for token in read.tokens]
    assert cut.get_vocab_size() == 11
    assert cut.encode("qq").tokens == ["[CLS]", "[UNK]", "[SEP]"]


@pytest.mark.parametrize("most", [9, 13, 14])
def test_a_cut_that_is_none_or_leaves_no_way_to_spell_is_refused(most: int) -> None:
    with pytest.raises(TmkdError, match=f"student.vocabulary is {most}; the tokenizer has 13 word pieces, of which 10"):
        kept_pieces(tokenizer(), COUNTS, most)


def test_a_tokenizer_that_is_no_wordpiece_is_refused() -> None:
    other = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    assert json.loads(other.to_str())["model"]["type"] == "WordLevel"
    with pytest.raises(TmkdError, match="a tokenizer of kind WordLevel cannot be cut; WordPiece can"):
        kept_pieces(other, COUNTS, 11)
