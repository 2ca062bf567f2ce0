from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn, shard_path, write_shard
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import write_tokens
from tmkd.distill.stage import StageData, StudentStart, run_stage
from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.network.headers import Header
from tmkd.recipe import parts, rows
from tmkd.recipe.fit import FitSpec
from tmkd.train.hardware import Hardware

LABELS = LabelSet("toy", ("no", "yes"), "yes")
Train = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_encoder(tmp_path_factory.mktemp("bert"))


def corpus(folder: Path, topics: Sequence[int], labelled: int | None = None) -> Corpus:
    """Corpus of two pairs a topic, the first `labelled` of them with their labels."""
    rows = tiny.pairs(topics)
    labels: list[int | None] = [LABELS.names.index(label) for _, _, label in rows[:labelled]]
    labels += [None] * (len(rows) - len(labels))
    table = pair_table([row[0] for row in rows], [row[1] for row in rows], labels, "rows.tsv")
    return write_corpus(folder, LABELS, [table])


def soft_labels(pairs: int, *names: str) -> SoftLabels:
    """Teachers that know which of two pairs is the answer, each with a strength of its own."""
    sign = np.where(np.arange(pairs) % 2 == 0, 1.0, -1.0)
    logits = np.stack([[-sign * (place + 1), sign * (place + 1)] for place in range(len(names))])
    return SoftLabels(logits.transpose(2, 0, 1).astype(np.float32), names, tuple(f"digest of {name}" for name in names))


def stored(folder: Path, pairs: Corpus, soft: SoftLabels | None) -> tuple[TeacherColumn, ...]:
    """Write teachers' logits of a corpus of one shard."""
    (shard,) = pairs.shards
    columns = []
    for place, (name, digest) in enumerate(zip(soft.teachers, soft.digests, strict=True) if soft is not None else ()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        logits = soft.logits[:, place] if soft is not None else np.empty(0)
        missing = int(np.isnan(logits).all(axis=1).sum())
        write_shard(shard_path(folder / name, digest, shard.digest), logits, digest, shard.digest, missing=missing)
        columns.append(TeacherColumn(name, digest, folder / name))
    return tuple(columns)


@pytest.fixture
def train(base: Path, tmp_path: Path) -> Train:
    """Run a stage into the folder `name` beside the corpora `train` (16 pairs) and `dev` (8 pairs)."""

    def run(
        name: str,
        soft: SoftLabels | None,
        start: str | None = None,
        labelled: int | None = None,
        fit: Any = None,
        fresh_pooler: bool = False,
        **stage: Any,
    ) -> dict[str, Any]:
        settings = rows.StageSpec(fit=FitSpec(**{**tiny.FIT, "epochs": 2, **(fit or {})}), **stage)
        student = parts.StudentSpec(base="bert", layers=1, max_length=32, fresh_pooler=fresh_pooler)
        pairs, dev = corpus(tmp_path / "train", range(8), labelled), corpus(tmp_path / "dev", range(18, 22))
        folder, before = tmp_path / name, tmp_path / start if start else None
        for made in (folder, tmp_path / "tokens"):
            made.mkdir(exist_ok=True)
        write_tokens(pairs, PairTokenizer.load(base, 32), tmp_path / "tokens", lambda done, total: None)
        data = StageData(pairs, tmp_path / "tokens", stored(tmp_path / "soft", pairs, soft), dev)
        begin = StudentStart(student, base, before)
        return run_stage(settings, begin, data, 1, Hardware("cpu", "fp32"), folder, name)

    return run


def headers(folder: Path) -> dict[str, tuple[str | None, torch.Tensor]]:
    """Name → (teacher's digest, weight) of a saved student's headers."""
    student = Student.from_pretrained(folder)
    weights = student.state_dict()
    told = {}
    for place, (name, digest) in enumerate(student.config.headers or []):
        told[name] = digest, next(w for key, w in weights.items() if key.startswith(f"headers.linears.{place}.weight"))
    return told


@pytest.mark.parametrize(
    ("alpha", "teachers", "average", "names"),
    [
        (0.0, (), False, ["toy/gold"]),
        (0.5, ("t1", "t2"), False, ["toy/gold", "toy/t1", "toy/t2"]),
        (1.0, ("t1", "t2"), False, ["toy/t1", "toy/t2"]),
        (0.5, ("t1", "t2"), True, ["toy/gold", "toy/mean"]),
        (1.0, ("t2",), False, ["toy/t2"]),
    ],
)
def test_a_header_exists_only_if_it_is_trained(
    train: Train, tmp_path: Path, alpha: float, teachers: tuple[str, ...], average: bool, names: list[str]
) -> None:
    soft = soft_labels(16, *teachers) if teachers else None
    facts = train("s", soft, alpha=alpha, average=average, teachers=teachers)
    assert facts["headers"] == names
    assert [name for name, _ in Student.from_pretrained(tmp_path / "s").config.headers or []] == names
    assert facts["pairs"] == 16
    assert facts["left_out"] == 0
    assert len(facts["dev"]) == (0 if alpha == 1 else 2)


def test_without_golden_labels_no_label_is_needed(train: Train) -> None:
    assert train("s", soft_labels(16, "t1"), alpha=1.0, labelled=0)["best_epoch"] == 2


def test_golden_loss_on_an_unlabelled_pair_is_an_error(train: Train) -> None:
    with pytest.raises(TmkdError, match=r"rows\.tsv: pair 1 of 16 .* has no golden label, which alpha < 1 needs"):
        train("s", soft_labels(16, "t1"), alpha=0.9, labelled=0)


def test_pairs_that_a_teacher_did_not_score_are_left_out(train: Train) -> None:
    soft = soft_labels(16, "t1", "t2")
    soft.logits[3:6, 1] = np.nan
    facts = train("s", soft, alpha=1.0)
    assert (facts["pairs"], facts["left_out"]) == (13, 3)


def test_a_corpus_that_no_teacher_scored_is_an_error(train: Train) -> None:
    soft = soft_labels(16, "t1", "t2")
    soft.logits[::2, 0] = soft.logits[1::2, 1] = np.nan
    with pytest.raises(TmkdError, match="s: the corpus has no pair scored by all of t1, t2"):
        train("s", soft, alpha=1.0)


def test_masked_gaps_leave_out_only_the_pairs_that_no_teacher_scored(train: Train) -> None:
    soft = soft_labels(16, "t1", "t2")
    soft.logits[3:6, 1] = soft.logits[5:9, 0] = np.nan
    facts = train("s", soft, alpha=0.5, gaps="mask")
    assert (facts["pairs"], facts["left_out"]) == (15, 1)
    assert facts["header_pairs"] == {"toy/gold": 15, "toy/t1": 12, "toy/t2": 13}


@pytest.mark.parametrize(("unlabelled", "pairs", "golden"), [("soft_only", 16, 10), ("drop", 10, 10)])
def test_unlabelled_pairs_have_the_soft_loss_alone_or_are_left_out(
    train: Train, unlabelled: str, pairs: int, golden: int
) -> None:
    facts = train("s", soft_labels(16, "t1"), alpha=0.5, unlabelled=unlabelled, labelled=10)
    assert (facts["pairs"], facts["left_out"]) == (pairs, 16 - pairs)
    assert facts["header_pairs"] == {"toy/gold": golden, "toy/t1": pairs}


def test_golden_labels_alone_are_taken_from_the_labelled_pairs(train: Train) -> None:
    assert train("s", None, teachers=(), alpha=0.0, unlabelled="drop", labelled=10)["header_pairs"] == {"toy/gold": 10}


@pytest.mark.parametrize(
    ("stage", "scored", "message"),
    [
        ({"alpha": 0.5, "unlabelled": "soft_only"}, 16, "s: no pair trains the header toy/gold, which Eq. 6 would"),
        ({"alpha": 0.5, "unlabelled": "drop"}, 16, "s: the corpus has no labelled pair scored by all of t1, t2"),
        ({"alpha": 1.0, "gaps": "mask"}, 8, "s: no pair trains the header toy/t2, which Eq. 6 would average in"),
    ],
)
def test_a_header_that_nothing_trains_is_refused(
    train: Train, stage: dict[str, Any], scored: int, message: str
) -> None:
    soft = soft_labels(16, "t1", "t2")
    if scored < 16:
        soft.logits[:, 1] = np.nan
    with pytest.raises(TmkdError, match=re.escape(message)):
        train("s", soft, labelled=0, **stage)


def test_the_options_beside_the_objective_reach_the_fit(train: Train, tmp_path: Path) -> None:
    soft = soft_labels(16, "t1", "t2", "t3")
    soft.logits[:, 2] *= -1  # a teacher that the others outvote
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "voted": {"vote": True},
        "averaged": {"fit": {"average_last": 0.5}},
        "chosen": {"choose": {"pairs": 9}},
    }
    made = {name: train(name, soft, alpha=1.0, **option) for name, option in options.items()}
    assert (made["chosen"]["pairs"], made["chosen"]["left_out"]) == (9, 7)
    assert made["averaged"]["losses"] == made["plain"]["losses"]
    assert made["voted"]["losses"] != made["plain"]["losses"]
    first = {name: torch.cat([one.flatten() for one in weights(tmp_path / name).values()]) for name in options}
    assert not any(torch.equal(first["plain"], first[name]) for name in options if name != "plain")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return Student.from_pretrained(folder).state_dict()


def test_the_start_is_kept_where_no_epoch_is_better_on_dev(train: Train, tmp_path: Path) -> None:
    before = train("one", soft_labels(16, "t1"), alpha=0.5, fit={"epochs": 8})
    still = {"learning_rate": 1.0e-12}  # so that training makes nothing better
    facts = train("two", soft_labels(16, "t2"), start="one", alpha=0.0, teachers=(), keep_start=True, fit=still)
    assert facts["best_epoch"] == 0
    assert facts["dev_start"] == max(before["dev"]) >= max(facts["dev"])
    assert facts["headers"] == before["headers"] == ["toy/gold", "toy/t1"]
    torch.testing.assert_close(weights(tmp_path / "two"), weights(tmp_path / "one"), atol=0, rtol=0)


def test_the_start_goes_where_an_epoch_is_better_on_dev(train: Train, tmp_path: Path) -> None:
    train("one", soft_labels(16, "t1"), alpha=1.0, fit={"epochs": 1, "learning_rate": 1.0e-12})
    facts = train("two", None, start="one", alpha=0.0, teachers=(), keep_start=True, fit={"epochs": 8})
    assert facts["best_epoch"] > 0
    assert facts["dev_start"] < max(facts["dev"])
    assert facts["headers"] == ["toy/gold"]


def test_a_start_of_another_task_is_no_candidate(train: Train, base: Path, tmp_path: Path) -> None:
    train("one", soft_labels(16, "t1"), alpha=1.0)
    other = Student.from_pretrained(tmp_path / "one").with_headers(
        LabelSet("other", ("no", "yes"), "yes"), [Header("other/t1", "d")], 1
    )
    other.save(tmp_path / "one", base)
    facts = train("two", None, start="one", alpha=0.0, teachers=(), keep_start=True)
    assert "dev_start" not in facts
    assert facts["headers"] == ["toy/gold"]


def test_stage_2_goes_on_from_stage_1_with_headers_of_the_same_name_and_digest(train: Train, tmp_path: Path) -> None:
    still = {"learning_rate": 1.0e-12, "weight_decay": 0.0}  # so that what was carried over can still be seen
    train("one", soft_labels(16, "t1", "t2", "judge"), alpha=1.0)
    changed = soft_labels(16, "t1", "t2")
    changed = SoftLabels(changed.logits, changed.teachers, (changed.digests[0], "digest of another t2"))
    train("two", changed, start="one", alpha=0.5, fit=still)
    one, two = Student.from_pretrained(tmp_path / "one"), Student.from_pretrained(tmp_path / "two")
    torch.testing.assert_close(two.encoder.state_dict(), one.encoder.state_dict())
    assert [name for name, _ in two.config.headers or []] == ["toy/gold", "toy/t1", "toy/t2"]
    before, after = headers(tmp_path / "one"), headers(tmp_path / "two")
    assert after["toy/t1"][0] == before["toy/t1"][0]
    torch.testing.assert_close(after["toy/t1"][1], before["toy/t1"][1])
    assert not torch.allclose(after["toy/t2"][1], before["toy/t2"][1])


def test_the_student_opens_with_its_own_tokenizer_and_has_learned(train: Train, tmp_path: Path) -> None:
    facts = train("s", soft_labels(16, "t1"), alpha=0.5, fit={"epochs": 8})
    student = Student.from_pretrained(tmp_path / "s")
    rows = tiny.pairs(range(18, 22))
    likely = student.predict([row[:2] for row in rows])
    right = [(p > 0.5) == (label == "yes") for p, (_, _, label) in zip(likely, rows, strict=True)]
    assert np.mean(right) == max(facts["dev"])
    assert facts["parameters"] == sum(weight.numel() for weight in student.parameters())


def test_a_fresh_pooler_is_drawn_when_the_first_stage_starts_and_carried_by_the_next(
    train: Train, tmp_path: Path
) -> None:
    fit = {"epochs": 1, "learning_rate": 1e-12}
    train("one", None, teachers=(), alpha=0.0, fit=fit, fresh_pooler=True)
    train("two", None, start="one", teachers=(), alpha=0.0, fit={**fit, "learning_rate": 1e-2}, fresh_pooler=True)
    train("three", None, start="two", teachers=(), alpha=0.0, fit=fit, fresh_pooler=True)
    one, two, three = (Student.from_pretrained(tmp_path / name).encoder.pooler for name in ("one", "two", "three"))
    drawn = torch.nn.init.xavier_uniform_(torch.empty(16, 16), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(one.dense.weight.data, drawn)
    assert not torch.allclose(two.dense.weight, drawn, atol=1e-3)
    torch.testing.assert_close(three.dense.weight, two.dense.weight)
