"""A student as a one-logit BERT: opened by transformers alone, compared with the student, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig, RobertaModel

import tiny
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.export.compat import REPORT, compare, export_compat
from tmkd.network import Student
from tmkd.network.encoder import Pool, quiet
from tmkd.network.headers import Header

LABELS = LabelSet("toy", ("no", "yes"), "yes")
THREE = LabelSet("nli", ("no", "maybe", "yes"), "yes")
HEADERS = (Header("toy/gold", None), Header("toy/ann", "aa"), Header("toy/bob", "bb"))
ROWS = tiny.pairs(range(24))
PAIRS = [(question, passage) for question, passage, _ in ROWS]
GOLDEN = np.array([int(label == "yes") for _, _, label in ROWS])
LONG = (tiny.question(0) + " the" * 30, tiny.passage(0, True) * 3)


def write_student(
    base: Path, folder: Path, labels: LabelSet = LABELS, pool: Pool = "pooler", headers: tuple[Header, ...] = HEADERS
) -> Path:
    """A student whose headers look the same way and differ in how sure they are."""
    student = Student.start(base, 2, pool, labels, headers, 32, seed=1)
    torch.manual_seed(5)
    direction = torch.randn(student.headers.linears[0].get_parameter("weight").shape)
    for number, linear in enumerate(student.headers.linears):
        with torch.no_grad():
            linear.get_parameter("weight").copy_(direction * (0.3 + number) + torch.randn(direction.shape) * 0.05)
            linear.get_parameter("bias").fill_(0.1).add_(torch.tensor([0.2 * number] + [0.0] * (len(labels.names) - 1)))
    student.save(folder, base)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_encoder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def student_folder(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(bert, tmp_path_factory.mktemp("students") / "s")


@pytest.fixture(scope="module")
def exported(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("exports") / "compat"
    return folder, export_compat(student_folder, PAIRS, None, GOLDEN, folder)


def predicted(folder: Path, pairs: list[tuple[str, str]]) -> np.ndarray:
    """Probabilities as any user of transformers computes them."""
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    questions, passages = zip(*pairs, strict=True)
    inputs = tokenizer(list(questions), list(passages), truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits[:, 0].sigmoid().numpy()


def test_transformers_opens_it_and_agrees_with_the_student_as_in_the_report(
    exported: tuple[Path, dict[str, Any]], student_folder: Path
) -> None:
    folder, report = exported
    ours, theirs = Student.from_pretrained(student_folder).predict(PAIRS), predicted(folder, PAIRS)
    difference = np.abs(ours - theirs)
    assert difference.max() == pytest.approx(report["largest_difference"], abs=1e-6)
    assert difference.mean() == pytest.approx(report["mean_difference"], abs=1e-6)
    assert 1e-5 < difference.max() < 0.05
    assert ours.std() > 0.05  # it does tell pairs apart


def test_the_report_is_about_these_pairs(exported: tuple[Path, dict[str, Any]], student_folder: Path) -> None:
    folder, report = exported
    assert json.loads((folder / REPORT).read_text()) == report
    ours, theirs = Student.from_pretrained(student_folder).predict(PAIRS), predicted(folder, PAIRS)
    assert report["accuracy"]["student"] == ((ours > 0.5) == GOLDEN).mean()
    assert report["accuracy"]["compat"] == ((theirs > 0.5) == GOLDEN).mean()
    assert (report["headers"], report["pairs"], report["labelled"]) == (3, 48, 48)
    assert (report["fit"]["pairs"], report["fit"]["groups"], report["groups_of_two_or_more"]) == (48, 24, 24)
    assert report["fit"]["held_out_error"] < report["fit"]["held_out_error_of_mean"]
    assert report["read_differently"] == 0
    assert report["student"] is None  # its folder was never sealed


def test_compare_by_hand() -> None:
    ln3 = np.log(3)  # probabilities 3/4, 1/2, 1/4, and 3/4, 1/4, 1/2
    ours, theirs = np.array([ln3, 0.0, -ln3]), np.array([ln3, -ln3, 0.0])
    found = compare(ours, theirs, ["a", "b", "b"], np.array([1, -1, 1]), positive=1)
    assert found == {
        "pairs": 3,
        "labelled": 2,
        "accuracy": {"student": 0.5, "compat": 0.5},
        "kendall_tau": pytest.approx(1 / 3),
        "kendall_tau_in_groups": -1.0,
        "top_1_agreement": 0.0,
        "groups_of_two_or_more": 1,
        "largest_difference": pytest.approx(0.25),
        "mean_difference": pytest.approx(0.5 / 3),
    }


def test_compare_with_the_positive_class_first_and_nothing_to_know() -> None:
    scores = np.array([2.0, -2.0])
    assert compare(scores, -scores, ["a", "b"], np.array([0, 1]), positive=0)["accuracy"] == {
        "student": 1.0,
        "compat": 0.0,
    }
    found = compare(scores, scores, ["a", "b"], np.array([-1, -1]), positive=0)
    assert found["accuracy"] == {"student": None, "compat": None}
    assert found["top_1_agreement"] is None
    assert found["kendall_tau_in_groups"] is None


def test_headers_that_are_the_same_collapse_exactly(bert: Path, tmp_path: Path) -> None:
    student = Student.from_pretrained(write_student(bert, tmp_path / "s"))
    for linear in student.headers.linears[1:]:
        linear.load_state_dict(student.headers.linears[0].state_dict())
    student.save(tmp_path / "same", bert)
    report = export_compat(tmp_path / "same", PAIRS, None, None, tmp_path / "out")
    assert report["largest_difference"] < 1e-6
    assert report["accuracy"] == {"student": None, "compat": None}
    again = Student.from_pretrained(tmp_path / "same")
    assert predicted(tmp_path / "out", PAIRS) == pytest.approx(again.predict(PAIRS), abs=1e-6)


def test_one_header_is_expressed_exactly_and_the_positive_class_may_come_first(bert: Path, tmp_path: Path) -> None:
    labels = LabelSet("toy", ("yes", "no"), "yes")
    write_student(bert, tmp_path / "s", labels, headers=HEADERS[:1])
    export_compat(tmp_path / "s", PAIRS, None, None, tmp_path / "out")
    ours = Student.from_pretrained(tmp_path / "s").predict(PAIRS)
    assert predicted(tmp_path / "out", PAIRS) == pytest.approx(ours, abs=1e-6)


def test_the_weights_have_the_names_and_bytes_of_berts(
    exported: tuple[Path, dict[str, Any]], student_folder: Path
) -> None:
    theirs, ours = load_file(exported[0] / "model.safetensors"), load_file(student_folder / "model.safetensors")
    body = {name.removeprefix("encoder."): weight for name, weight in ours.items() if name.startswith("encoder.")}
    assert set(theirs) == {f"bert.{name}" for name in body} | {"classifier.weight", "classifier.bias"}
    assert "bert.pooler.dense.weight" in theirs
    assert all(torch.equal(theirs[f"bert.{name}"], weight) for name, weight in body.items())
    assert theirs["classifier.weight"].shape == (1, 16)
    assert {str(weight.dtype) for weight in theirs.values()} == {"torch.float32"}


def test_the_configuration_has_the_keys_that_servers_read(exported: tuple[Path, dict[str, Any]]) -> None:
    told = json.loads((exported[0] / "config.json").read_text())
    assert told["architectures"] == ["BertForSequenceClassification"]
    assert told["model_type"] == "bert"
    assert (told["id2label"], told["label2id"]) == ({"0": "yes"}, {"yes": 0})
    assert told["sentence_transformers"]["activation_fn"] == "torch.nn.modules.activation.Sigmoid"
    assert told["problem_type"] == "multi_label_classification"
    assert (told["dtype"], told["max_position_embeddings"], told["num_hidden_layers"]) == ("float32", 64, 2)
    assert AutoConfig.from_pretrained(exported[0]).num_labels == 1


def test_the_tokenizer_is_berts_and_cuts_where_the_student_does(
    exported: tuple[Path, dict[str, Any]], student_folder: Path
) -> None:
    folder = exported[0]
    told = json.loads((folder / "tokenizer_config.json").read_text())
    assert (told["tokenizer_class"], told["model_max_length"], told["do_lower_case"]) == ("BertTokenizer", 32, True)
    assert json.loads((folder / "special_tokens_map.json").read_text())["sep_token"] == "[SEP]"
    assert json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"] == 32
    assert (folder / "vocab.txt").read_text().splitlines() == list(tiny.WORDS)
    question, passage = tiny.question(3), tiny.passage(3, True) * 5
    ours = Student.from_pretrained(student_folder).tokenizer.encode([question], [passage]).ids[0]
    theirs = AutoTokenizer.from_pretrained(folder)(question, passage, truncation=True).input_ids
    assert len(theirs) == 32
    assert theirs == ours.tolist()


def test_pairs_that_other_programs_cut_otherwise_are_counted(student_folder: Path, tmp_path: Path) -> None:
    # Both texts are too long: we leave the passage one token, they cut whichever is the longer.
    assert export_compat(student_folder, [*PAIRS, LONG], None, None, tmp_path / "out")["read_differently"] == 1


def test_another_tokenizer_is_not_called_berts(bert: Path, tmp_path: Path) -> None:
    write_student(bert, tmp_path / "s")
    told = json.loads((tmp_path / "s" / "tokenizer.json").read_text())
    told["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "s" / "tokenizer.json").write_text(json.dumps(told))
    report = export_compat(tmp_path / "s", PAIRS, None, None, tmp_path / "out")
    assert report["largest_difference"] < 0.05  # token types are given all the same
    told = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert told["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert told["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_given_groups_decide_which_pairs_are_compared(student_folder: Path, tmp_path: Path) -> None:
    groups = [str(pair % 4) for pair in range(48)]
    labels = [1, -1] * 24
    report = export_compat(student_folder, PAIRS, groups, labels, tmp_path / "out")
    assert (report["groups_of_two_or_more"], report["fit"]["groups"], report["labelled"]) == (4, 4, 24)


def test_an_older_export_is_replaced_and_nothing_else_is_touched(student_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "config.json").write_text("old")
    (folder / "README.md").write_text("mine")
    export_compat(student_folder, PAIRS, None, GOLDEN, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "compat_report.json",
        "config.json",
        "model.safetensors",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert (folder / "README.md").read_text() == "mine"
    assert str(tmp_path) not in (folder / "config.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_others_may_read_the_weights(exported: tuple[Path, dict[str, Any]]) -> None:
    modes = {(exported[0] / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def roberta(folder: Path) -> Path:
    config = RobertaConfig(
        vocab_size=len(tiny.WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, type_vocab_size=1,
    )  # fmt: skip
    with quiet():
        RobertaModel(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


def test_what_one_logit_or_bert_cannot_say_is_refused_in_a_line(bert: Path, tmp_path: Path) -> None:
    folders = {
        "task nli has 3$": write_student(bert, tmp_path / "three", THREE),
        "its encoder is a roberta; BertForSequenceClassification needs": write_student(
            roberta(tmp_path / "base"), tmp_path / "r"
        ),
        "pool: first, but .* reads the pooler$": write_student(bert, tmp_path / "first", pool="first"),
        "cannot be opened as a student": bert,
    }
    for reason, folder in folders.items():
        with pytest.raises(TmkdError, match=reason) as refused:
            export_compat(folder, PAIRS, None, None, tmp_path / "out")
        assert "\n" not in str(refused.value)
        assert str(folder) in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_no_pairs_and_columns_of_other_lengths_are_refused(student_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no pairs to fit one logit on"):
        export_compat(student_folder, [], None, None, tmp_path / "out")
    with pytest.raises(ValueError, match="1 groups"):
        export_compat(student_folder, PAIRS, ["q"], None, tmp_path / "out")
    with pytest.raises(ValueError, match=r"\(2,\) labels"):
        export_compat(student_folder, PAIRS, None, [1, 0], tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_an_error(student_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TmkdError, match="cannot be written"):
        export_compat(student_folder, PAIRS, None, None, tmp_path / "file" / "out")
