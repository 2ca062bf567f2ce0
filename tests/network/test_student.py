from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.network import Student, open_student
from tmkd.network.headers import Header

Folders = Callable[[str], Path]
LABELS = LabelSet("web", ("no", "yes"), "yes")
GOLD, ANN, BOB = Header("web/gold", None), Header("web/ann", "aa"), Header("web/bob", "bb")
PAIRS = [("what is the moon made of", "rock and dust"), ("why does it shine", "the sun"), ("moon", "cheese " * 60)]


def start(folder: Path, headers: tuple[Header, ...] = (GOLD, ANN), labels: LabelSet = LABELS, seed: int = 1) -> Student:
    pool = "pooler" if (folder / "config.json").read_text().find('"bert"') > 0 else "first"
    return Student.start(folder, 3, pool, labels, headers, 32, seed)  # type: ignore[arg-type]


def saved(student: Student, base: Path, folder: Path) -> Student:
    student.save(folder, base)
    return Student.from_pretrained(folder)


def header_weight(student: Student, place: int) -> torch.Tensor:
    return student.headers.linears[place].get_parameter("weight")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
def test_a_saved_student_is_an_ordinary_folder_that_auto_opens(
    pretrained: Folders, tmp_path: Path, family: str
) -> None:
    student = start(pretrained(family))
    student.save(tmp_path / "s", pretrained(family))
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "s")
    assert isinstance(again, Student)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, student.state_dict()[name]), name
    assert AutoTokenizer.from_pretrained(tmp_path / "s")("the moon", "rock").input_ids == [0, 6, 7, 1, 10, 1]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    config = json.loads((tmp_path / "s" / "config.json").read_text())
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert str(pretrained(family)) not in json.dumps(config)
    again.save(tmp_path / "again", pretrained(family))
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "s" / name).read_bytes()


def test_start_takes_the_pretrained_body_and_draws_headers_by_seed(pretrained: Folders) -> None:
    random = torch.random.get_rng_state()
    one, same, other = start(pretrained("bert")), start(pretrained("bert")), start(pretrained("bert"), seed=2)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.equal(header_weight(one, 0), header_weight(same, 0))
    assert not torch.equal(header_weight(one, 0), header_weight(other, 0))
    assert torch.equal(one.encoder.pooler.dense.weight, other.encoder.pooler.dense.weight)
    assert one.labels == LABELS
    assert one.max_length == 32


def test_the_softmax_of_the_logits_is_the_mean_of_the_headers_probabilities(pretrained: Folders) -> None:
    student = start(pretrained("bert"), (GOLD, ANN, BOB)).eval()
    output = student(torch.tensor([[0, 5, 1, 6, 1]]), labels=torch.tensor([1]))
    mean = output.header_logits.softmax(-1).mean(dim=1)
    assert output.header_logits.shape == (1, 3, 2)
    assert torch.allclose(output.logits.softmax(-1), mean)
    assert output.loss.item() == pytest.approx(-mean[0, 1].log().item(), rel=1e-5)


def test_logits_stay_float32_under_autocast(pretrained: Folders) -> None:
    student = start(pretrained("bert")).eval()
    with torch.autocast("cpu", torch.bfloat16):
        output = student(torch.tensor([[0, 5, 1, 6, 1]]))
    assert output.logits.dtype == output.header_logits.dtype == torch.float32


def test_the_next_stage_keeps_the_body_and_matching_headers_and_drops_the_others(
    pretrained: Folders, tmp_path: Path
) -> None:
    first = saved(start(pretrained("bert"), (ANN, BOB)), pretrained("bert"), tmp_path)
    second = first.with_headers(LABELS, [GOLD, ANN], seed=5)
    assert second.headers.named == (GOLD, ANN)
    assert torch.equal(header_weight(second, 1), header_weight(first, 0))
    for name, weight in second.encoder.state_dict().items():
        assert torch.equal(weight, first.encoder.state_dict()[name])
    with torch.no_grad():
        second.encoder.pooler.dense.weight.zero_()
    assert first.encoder.pooler.dense.weight.any()


def test_another_tasks_headers_are_fresh_even_with_as_many_classes(pretrained: Folders) -> None:
    first = start(pretrained("bert"), (Header("web/ann", "aa"),))
    rte = LabelSet("rte", ("entailment", "not"), "entailment")
    second = first.with_headers(rte, [Header("rte/gold", None), Header("web/ann", "aa")], seed=5)
    assert not torch.equal(header_weight(second, 1), header_weight(first, 0))
    assert second.labels == rte


def test_predict_gives_the_positive_probability_and_rank_sorts_by_it(pretrained: Folders, tmp_path: Path) -> None:
    student = saved(start(pretrained("bert")), pretrained("bert"), tmp_path).train()
    both = student.predict_proba(PAIRS)
    assert student.training
    assert both.dtype == np.float32
    assert both.sum(axis=1) == pytest.approx([1, 1, 1])
    assert student.predict(PAIRS) == pytest.approx(both[:, 1])
    assert student.predict_proba(PAIRS[1:2])[0] == pytest.approx(both[1], abs=1e-6)
    passages = ["rock and dust", "cheese", "rock and dust"]
    ranked = student.rank("what is the moon made of", passages, return_documents=True)
    assert [entry["score"] for entry in ranked] == sorted((entry["score"] for entry in ranked), reverse=True)
    assert [passages[entry["corpus_id"]] for entry in ranked] == [entry["text"] for entry in ranked]
    assert [entry["corpus_id"] for entry in ranked if entry["text"] == "rock and dust"] == [0, 2]
    assert len(student.rank("moon", passages, top_k=1)) == 1
    assert student.predict([]).shape == (0,)
    assert student.rank("moon", []) == []


def test_predict_gives_the_class_when_there_are_more_than_two(pretrained: Folders, tmp_path: Path) -> None:
    nli = LabelSet("nli", ("entailment", "neutral", "contradiction"), "entailment")
    student = saved(start(pretrained("bert"), labels=nli), pretrained("bert"), tmp_path)
    assert student.predict_proba(PAIRS).shape == (3, 3)
    assert np.array_equal(student.predict(PAIRS), student.predict_proba(PAIRS).argmax(axis=1))
    assert student.labels == nli


def test_the_error_on_a_student_without_a_folder_names_the_remedy(pretrained: Folders) -> None:
    with pytest.raises(TmkdError, match="save it"):
        start(pretrained("bert")).predict(PAIRS)


def test_more_tokens_than_positions_is_refused_at_once(pretrained: Folders) -> None:
    for family in ("bert", "gpt2"):
        with pytest.raises(TmkdError, match=r"has positions for 64 token ids; set student\.max_length to 64 or fewer"):
            Student.start(pretrained(family), 1, "first", LABELS, [GOLD], 65, 1)
    with pytest.raises(TmkdError, match="has positions for 63 token ids"):
        Student.start(pretrained("roberta"), 1, "first", LABELS, [GOLD], 64, 1)


def test_opening_a_student_is_silent(pretrained: Folders, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start(pretrained("bert")).save(tmp_path / "s", pretrained("bert"))
    capfd.readouterr()
    Student.from_pretrained(tmp_path / "s")
    assert capfd.readouterr() == ("", "")


def test_a_student_opened_for_scoring_is_in_evaluation_mode(pretrained: Folders, tmp_path: Path) -> None:
    start(pretrained("bert")).train().save(tmp_path / "s", pretrained("bert"))
    opened = open_student(tmp_path / "s")
    assert not any(module.training for module in opened.modules())


@pytest.mark.parametrize("damage", ["no such folder", "a torn file of weights", "another model"])
def test_a_folder_that_holds_no_student_is_named_with_the_reason(
    pretrained: Folders, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "s"
    if damage != "no such folder":
        start(pretrained("bert")).save(folder, pretrained("bert"))
    if damage == "a torn file of weights":
        (folder / "model.safetensors").write_bytes(b"torn")
    if damage == "another model":
        (folder / "config.json").write_bytes((pretrained("bert") / "config.json").read_bytes())
    with pytest.raises(TmkdError, match=r"s: cannot be opened as student TMKD: \w"):
        open_student(folder, "student TMKD")
