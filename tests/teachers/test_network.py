from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

import tiny
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.network.opening import longest_pair
from tmkd.teachers.network import TeacherNetwork, load, match_classes
from tmkd.train.hardware import Hardware

Make = Callable[..., Path]
LABELS = LabelSet("toy", ("no", "yes"), "yes")
NLI = LabelSet("nli", ("entailment", "neutral", "contradiction"), "entailment")
PAIRS = [row[:2] for row in tiny.pairs(range(4))] + [("the moon", "the sun . " * 60), ("the sea " * 60, "rain")]
QUESTIONS, PASSAGES = [question for question, _ in PAIRS], [passage for _, passage in PAIRS]


def open_teacher(folder: Path, labels: LabelSet = LABELS, max_length: int = 32, **classes: str) -> TeacherNetwork:
    return load(folder, labels, classes, max_length, Hardware("cpu", "fp32"), "t")


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "gpt2"])
def test_a_pair_gets_the_same_logits_alone_and_among_longer_ones(ready_made: Make, family: str) -> None:
    teacher = open_teacher(ready_made(family))
    together = teacher.logits(QUESTIONS, PASSAGES)
    assert together.shape == (len(PAIRS), 2)
    assert together.dtype == np.float32
    alone = np.concatenate([teacher.logits([question], [passage]) for question, passage in PAIRS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together[:, 1].round(4))) == len(PAIRS)  # it reads the words


@pytest.mark.parametrize(("family", "ids", "types"), [
    ("bert", [1, "the", 2, "moon", 2], [0, 0, 0, 1, 1]),
    ("roberta", [0, "the", 2, 2, "moon", 2], None),
    ("mpnet", [0, "the", 2, 2, "moon", 2], None),
    ("gpt2", ["the", 0, "moon"], None),
])  # fmt: skip
def test_logits_are_those_of_the_model_on_the_familys_own_format(
    ready_made: Make, family: str, ids: list[int | str], types: list[int] | None
) -> None:
    folder = ready_made(family)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    written = torch.tensor([[vocabulary[one] if isinstance(one, str) else one for one in ids]])
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    segments = {} if types is None else {"token_type_ids": torch.tensor([types])}
    with torch.no_grad():
        expected = model(input_ids=written, **segments).logits.numpy()
    np.testing.assert_allclose(open_teacher(folder).logits(["the"], ["moon"]), expected, atol=1e-5)


def test_gpt2_is_given_a_pad_token(ready_made: Make) -> None:
    assert json.loads((ready_made("gpt2") / "config.json").read_text()).get("pad_token_id") is None
    teacher = open_teacher(ready_made("gpt2"))
    assert teacher.model.config.pad_token_id == teacher.tokenizer.settings.pad_id == 0


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "gpt2"])
def test_no_pair_is_longer_than_the_model_has_positions(ready_made: Make, family: str) -> None:
    teacher = open_teacher(ready_made(family), max_length=512)
    assert longest_pair(teacher.model, 512) == 40
    assert teacher.tokenizer.encode(QUESTIONS, PASSAGES).lengths.max() == 40
    assert np.isfinite(teacher.logits(QUESTIONS, PASSAGES)).all()


def test_one_logit_s_becomes_0_and_s(ready_made: Make) -> None:
    folder = ready_made("bert", ["LABEL_0"])
    logits = open_teacher(folder).logits(["the"], ["moon"])
    assert logits.shape == (1, 2)
    assert logits[0, 0] == 0
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = open_teacher(folder).tokenizer.encode(["the"], ["moon"]).pad([0], 0)
    with torch.no_grad():
        raw = model(**{name: torch.from_numpy(value) for name, value in tokens.items()}).logits
    assert logits[0, 1] == pytest.approx(raw.item(), abs=1e-5)


@pytest.mark.parametrize("labels", [NLI, LabelSet("toy", ("yes", "no"), "yes")])
def test_one_logit_fits_only_two_classes_with_the_positive_one_last(ready_made: Make, labels: LabelSet) -> None:
    with pytest.raises(
        TmkdError, match="teacher t: it has one logit; that fits two classes with the positive one last"
    ):
        open_teacher(ready_made("bert", ["LABEL_0"]), labels)


def test_classes_in_another_order_are_matched_by_name(ready_made: Make) -> None:
    theirs = ["CONTRADICTION", "Entailment", "neutral"]
    folder = ready_made("bert", theirs)
    teacher = open_teacher(folder, NLI)
    assert teacher.order == (1, 2, 0)
    own = open_teacher(folder, LabelSet("nli", ("contradiction", "entailment", "neutral"), "entailment"))
    mine, raw = teacher.logits(QUESTIONS, PASSAGES), own.logits(QUESTIONS, PASSAGES)
    np.testing.assert_array_equal(mine, raw[:, [1, 2, 0]])


def test_classes_of_other_names_are_mapped(ready_made: Make) -> None:
    folder = ready_made("roberta", ["LABEL_0", "LABEL_1"])
    assert open_teacher(folder, yes="LABEL_0", no="LABEL_1").order == (1, 0)
    assert open_teacher(folder, yes="LABEL_1", no="LABEL_0").order == (0, 1)


@pytest.mark.parametrize(
    ("theirs", "classes"),
    [
        (["LABEL_0", "LABEL_1"], {}),
        (["LABEL_0", "LABEL_1"], {"yes": "LABEL_1"}),
        (["LABEL_0", "LABEL_1"], {"yes": "LABEL_1", "no": "LABEL_1"}),
        (["bad", "good"], {"yes": "good", "no": "poor"}),
    ],
)
def test_classes_that_do_not_match_are_refused(theirs: list[str], classes: dict[str, str]) -> None:
    config = BertConfig(num_labels=len(theirs), id2label=dict(enumerate(theirs)))
    with pytest.raises(
        TmkdError, match=r"teacher t: its classes are .*, the task's are no, yes; map them with classes"
    ):
        match_classes(config, LABELS, classes, "t")


@pytest.mark.parametrize("labels", [LABELS, NLI])
def test_another_number_of_classes_is_refused(ready_made: Make, labels: LabelSet) -> None:
    theirs = ["no", "yes", "maybe", "never"]
    with pytest.raises(
        TmkdError, match=r"t: it has 4 classes \(no, yes, maybe, never\), the task has [23] \(.*as base$"
    ):
        open_teacher(ready_made("bert", theirs), labels)


def test_reversed_classes_give_each_class_its_own_logit(ready_made: Make, tmp_path: Path) -> None:
    folder = tmp_path / "reversed"
    shutil.copytree(ready_made("bert"), folder)
    config = json.loads((folder / "config.json").read_bytes())
    names = {"id2label": {"0": "yes", "1": "no"}, "label2id": {"yes": 0, "no": 1}}
    (folder / "config.json").write_text(json.dumps(config | names))
    ours, theirs = (open_teacher(one).logits(QUESTIONS, PASSAGES) for one in (folder, ready_made("bert")))
    np.testing.assert_array_equal(ours, theirs[:, ::-1])


def test_classes_that_are_numbered_beyond_the_outputs_are_refused() -> None:
    config = BertConfig(num_labels=2, id2label={1: "no", 2: "yes"}, label2id={"no": 1, "yes": 2})
    with pytest.raises(
        TmkdError, match=r"id2label of its config\.json does not number its classes 0, 1, …; correct it"
    ):
        match_classes(config, LABELS, {}, "t")


def test_two_numberings_of_the_classes_are_refused() -> None:
    config = BertConfig(num_labels=2, id2label={0: "no", 1: "yes"}, label2id={"no": 1, "yes": 0})
    with pytest.raises(TmkdError, match=r"class 'no' is 0 in id2label of its config.json, and 1 in label2id"):
        match_classes(config, LABELS, {}, "t")


def test_classes_that_differ_in_case_only_are_refused() -> None:
    config = BertConfig(num_labels=2, id2label={0: "Yes", 1: "yes"})
    with pytest.raises(TmkdError, match="its classes are"):
        match_classes(config, LabelSet("toy", ("YES", "yes"), "yes"), {}, "t")


def named(folder: Path, names: Any) -> None:
    """Write id2label of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": names}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be opened"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"torn"), "cannot be opened"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be opened"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "unheard-of"}'), "cannot be opened"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json: missing"),
        (
            lambda folder: named(folder, {"no": 0, "yes": 1}),
            "id2label of its config.json does not give names to numbers",
        ),
        (lambda folder: named(folder, ["no", "yes"]), r'as \{"0": "no", "1": "yes"\} does; correct it'),
    ],
)
def test_a_broken_folder_is_an_error_of_one_line(
    ready_made: Make, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(ready_made("bert"), tmp_path / "t")
    damage(tmp_path / "t")
    with pytest.raises(TmkdError, match=said) as told:
        open_teacher(tmp_path / "t")
    assert "\n" not in str(told.value)
