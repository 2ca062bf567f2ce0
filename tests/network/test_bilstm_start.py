from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.bilstm import BiLSTM
from tmkd.network.bilstm_start import write_start


def test_a_folder_that_exists_and_vectors_of_no_usable_word_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("moon 1 2\n")
    with pytest.raises(TmkdError, match="exists already"):
        write_start(tmp_path / "v.txt", tmp_path, 10, 2, 1)
    (tmp_path / "none.txt").write_text("a-b 1 2\nc/d 3 4\n")
    with pytest.raises(TmkdError, match="none of its words can be used"):
        write_start(tmp_path / "none.txt", tmp_path / "new", 10, 2, 1)


def test_words_are_lower_case_and_of_two_spellings_the_first_counts(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("Moon 1 2\nmoon 3 4\nsun 5 6\n")
    assert write_start(tmp_path / "v.txt", tmp_path / "start", 3, 1, seed=1) == 2
    body = BiLSTM.from_pretrained(tmp_path / "start")
    assert body.embeddings.weight[4:].tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert body.embeddings.weight[:2].tolist() == [[0.0, 0.0], [3.0, 4.0]]


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
