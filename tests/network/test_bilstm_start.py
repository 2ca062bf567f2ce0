from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.bilstm import BiLSTM
from tmkd.network.bilstm_start import frequent_words, write_start


def test_a_folder_that_exists_and_vectors_of_no_usable_word_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("moon 1 2\n")
    with pytest.raises(TmkdError, match="exists already"):
        write_start(tmp_path / "v.txt", tmp_path, 10, 2, 1)
    (tmp_path / "none.txt").write_text("a-b 1 2\nc/d 3 4\n")
    with pytest.raises(TmkdError, match="none of its words can be used"):
        write_start(tmp_path / "none.txt", tmp_path / "new", 10, 2, 1)
    with pytest.raises(TmkdError, match="none of its words can be used"):
        write_start(tmp_path / "v.txt", tmp_path / "new", 10, 2, 1, vocabulary=[])


def test_words_are_lower_case_and_of_two_spellings_the_lower_one_counts(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("Moon 1 2\nmoon 3 4\nMOON 7 8\nSun 5 6\nSUN 9 9\nmoon 0 0\n")
    assert write_start(tmp_path / "v.txt", tmp_path / "start", 6, 1, seed=1) == (2, 2)
    body = BiLSTM.from_pretrained(tmp_path / "start")
    assert body.embeddings.weight[4:].tolist() == [[3.0, 4.0], [5.0, 6.0]]
    assert body.embeddings.weight[:2].tolist() == [[0.0, 0.0], [4.0, 5.0]]


def test_the_start_reads_pairs_as_cls_question_sep_passage_sep(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("moon 1 2\nsun 3 4\n. 5 6\n")
    write_start(tmp_path / "v.txt", tmp_path / "start", 10, 1, seed=1)
    tokens = PairTokenizer.load(tmp_path / "start", 16).encode(["Moon comet"], ["the sun."])
    assert tokens.flat_ids.tolist() == [2, 4, 1, 3, 1, 5, 6, 3]
    assert tokens.flat_types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_seed_draws_the_lstms_and_leaves_the_random_state(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("moon 1 2\n")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    bodies = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_start(tmp_path / "v.txt", tmp_path / name, 10, 1, seed)
        bodies.append(BiLSTM.from_pretrained(tmp_path / name).question.weight_hh_l0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(bodies[0], bodies[1])
    assert not torch.equal(bodies[0], bodies[2])


def test_words_of_a_vocabulary_that_have_no_vector_are_drawn_from_a_normal_distribution(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    given = {f"w{number}": draw.normal((1, -2, 0, 5), (0.1, 1, 2, 3)) for number in range(400)}
    (tmp_path / "v.txt").write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in given.items()))
    vocabulary = [f"w{number}" for number in range(10, 410)] + [f"x{number}" for number in range(2000)]
    assert write_start(tmp_path / "v.txt", tmp_path / "start", 5, 1, 1, vocabulary) == (2400, 390)
    table = BiLSTM.from_pretrained(tmp_path / "start").embeddings.weight.detach().numpy()[4:]
    known = np.stack([given[word] for word in vocabulary[:390]])
    assert table[:390] == pytest.approx(known, rel=1e-5)
    drawn = table[390:]
    assert drawn.mean(axis=0) == pytest.approx(known.mean(axis=0), abs=0.3)
    assert drawn.std(axis=0) == pytest.approx(known.std(axis=0), rel=0.1)
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    write_start(tmp_path / "v.txt", tmp_path / "again", 5, 1, 1, vocabulary)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "start" / "model.safetensors"
    ).read_bytes()


def test_the_most_frequent_words_of_texts_are_in_the_tokenizers_form() -> None:
    texts = ["The moon, the sun.", "the MOON?", "the moon is a stone"]
    assert frequent_words(texts, 3) == ["the", "moon", ","]
    assert frequent_words([], 3) == []


def test_words_in_no_order_of_frequency_need_texts(tmp_path: Path) -> None:
    with pytest.raises(
        TmkdError, match="spaCy's words are in no order of frequency; take those of your texts: --texts"
    ):
        write_start(tmp_path, tmp_path / "start", 10, 1, seed=1)
