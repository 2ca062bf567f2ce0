"""Teachers' logits on disk and in memory."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.softlabels import (
    SoftLabels,
    TeacherColumn,
    dominance_warning,
    health,
    logits_from,
    read_shard,
    shard_path,
    write_shard,
)
from tmkd.errors import TmkdError

TEACHER, SHARD = "a" * 64, "b" * 64
LOGITS = np.array([[0.0, 1.5], [-2.0, 2.0], [0.25, 0.0]], dtype=np.float32)
NAN = float("nan")


def read(path: Path, rows: int = 3, classes: int = 2) -> np.ndarray:
    return read_shard(path, TEACHER, SHARD, rows, classes)


def soft(*teachers: list[list[float]]) -> SoftLabels:
    """Soft labels of teachers t1, t2, … each given as (pairs, classes)."""
    names = tuple(f"t{place + 1}" for place in range(len(teachers)))
    return SoftLabels(
        np.array(teachers, dtype=np.float32).transpose(1, 0, 2), names, tuple(name * 32 for name in names)
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    table = pair_table([f"q{number}" for number in range(5)], ["p"] * 5)
    return write_corpus(tmp_path / "corpus", LabelSet("demo", ("no", "yes"), "yes"), [table], shard_rows=2)


def stored(folder: Path, corpus: Corpus, digest: str, logits: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    start = 0
    for shard in corpus.shards:
        path = shard_path(folder, digest, shard.digest)
        write_shard(path, logits[start : start + shard.rows], digest, shard.digest)
        start += shard.rows


def test_a_file_is_named_after_teacher_and_shard(tmp_path: Path) -> None:
    assert shard_path(tmp_path, TEACHER, SHARD) == tmp_path / f"{'a' * 16}-{'b' * 16}.safetensors"


def test_logits_come_back_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_shard(path, LOGITS, TEACHER, SHARD)
    values = read(path)
    assert values.dtype == np.float32
    assert np.array_equal(values, LOGITS)


def test_equal_logits_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, pathlib; from tmkd.data.softlabels import write_shard; "
        "write_shard(pathlib.Path(sys.argv[1]), numpy.ones((3, 2), numpy.float32), 'a' * 64, 'b' * 64)"
    )
    digests = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_foreign_logits_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_shard(path, LOGITS, TEACHER, SHARD)
    with pytest.raises(TmkdError, match="logits of another shard"):
        read_shard(path, TEACHER, "c" * 64, 3, 2)
    with pytest.raises(TmkdError, match="logits of another teacher"):
        read_shard(path, "c" * 64, SHARD, 3, 2)
    with pytest.raises(TmkdError, match=r"shape \(3, 2\), not float32 of \(4, 2\)"):
        read(path, rows=4)
    with pytest.raises(TmkdError, match=r"shape \(3, 2\), not float32 of \(3, 3\)"):
        read(path, classes=3)


def test_a_missing_and_a_torn_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(TmkdError, match=r"x\.safetensors: missing"):
        read(path)
    write_shard(path, LOGITS, TEACHER, SHARD)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TmkdError, match=r"x\.safetensors: not a readable soft-label file"):
        read(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_found_or_does_no_harm(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("flip") / "x.safetensors"
    write_shard(path, LOGITS, TEACHER, SHARD)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    in_payload = place >= len(content) - LOGITS.nbytes
    try:
        values = read(path)
    except TmkdError:
        return
    assert np.array_equal(values, LOGITS)
    assert not in_payload


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_nan_and_infinity_are_refused_with_their_row(tmp_path: Path, bad: float) -> None:
    logits = LOGITS.copy()
    logits[1, 0] = bad
    with pytest.raises(TmkdError, match=r"row 2: NaN or infinite logit"):
        write_shard(tmp_path / "x", logits, TEACHER, SHARD)
    with pytest.raises(TmkdError, match=r"row 2: NaN or infinite logit"):
        write_shard(tmp_path / "x", logits, TEACHER, SHARD, missing=1)
    logits[1] = bad
    with pytest.raises(TmkdError, match=r"row 2: NaN or infinite logit"):
        write_shard(tmp_path / "x", logits, TEACHER, SHARD)
    assert not (tmp_path / "x").exists()


def test_the_pairs_without_a_score_are_counted_in_the_header(tmp_path: Path) -> None:
    logits = LOGITS.copy()
    logits[2] = NAN
    write_shard(tmp_path / "x", logits, TEACHER, SHARD, missing=1)
    assert np.array_equal(read(tmp_path / "x"), logits, equal_nan=True)
    with pytest.raises(TmkdError, match="1 rows have no score, but the file's header says 2"):
        write_shard(tmp_path / "x", logits, TEACHER, SHARD, missing=2)


def test_columns_are_joined_in_the_corpus_order(tmp_path: Path, corpus: Corpus) -> None:
    first = np.arange(10, dtype=np.float32).reshape(5, 2)
    stored(tmp_path / "t1", corpus, "1" * 64, first)
    stored(tmp_path / "t2", corpus, "2" * 64, first[::-1])
    columns = [TeacherColumn("t1", "1" * 64, tmp_path / "t1"), TeacherColumn("t2", "2" * 64, tmp_path / "t2")]
    loaded = SoftLabels.load(corpus, columns)
    assert loaded.logits.shape == (5, 2, 2)
    assert np.array_equal(loaded.logits[:, 0], first)
    assert np.array_equal(loaded.logits[:, 1], first[::-1])
    assert loaded.teachers == ("t1", "t2")
    assert loaded.digests == ("1" * 64, "2" * 64)


def test_a_gap_in_a_teachers_shards_is_an_error(tmp_path: Path, corpus: Corpus) -> None:
    stored(tmp_path / "t1", corpus, "1" * 64, np.zeros((5, 2), dtype=np.float32))
    shard_path(tmp_path / "t1", "1" * 64, corpus.shards[1].digest).unlink()
    with pytest.raises(TmkdError, match=r"teacher t1: .*safetensors: missing"):
        SoftLabels.load(corpus, [TeacherColumn("t1", "1" * 64, tmp_path / "t1")])


def test_another_shards_file_under_this_ones_name_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    stored(tmp_path / "t1", corpus, "1" * 64, np.zeros((5, 2), dtype=np.float32))
    paths = [shard_path(tmp_path / "t1", "1" * 64, shard.digest) for shard in corpus.shards]
    paths[0].replace(paths[1])
    with pytest.raises(TmkdError, match=r"teacher t1: .*missing"):
        SoftLabels.load(corpus, [TeacherColumn("t1", "1" * 64, tmp_path / "t1")])
    paths[0].write_bytes(paths[1].read_bytes())
    with pytest.raises(TmkdError, match=r"teacher t1: .*another shard"):
        SoftLabels.load(corpus, [TeacherColumn("t1", "1" * 64, tmp_path / "t1")])


def test_some_teachers_come_in_the_order_asked_for() -> None:
    three = soft([[1, 2]], [[3, 4]], [[5, 6]])
    two = three.only(["t3", "t1"])
    assert two.logits.tolist() == [[[5, 6], [1, 2]]]
    assert (two.teachers, two.digests) == (("t3", "t1"), ("t3" * 32, "t1" * 32))
    with pytest.raises(TmkdError, match="no soft labels of teacher 't4'; there are those of t1, t2, t3"):
        three.only(["t4"])


def test_the_mean_is_one_teacher() -> None:
    mean = soft([[1, 2], [0, 8]], [[3, 5], [0, -2]]).mean()
    assert mean.logits.tolist() == [[[2, 3.5]], [[0, 3]]]
    assert mean.logits.dtype == np.float32
    assert mean.teachers == ("mean",)
    assert mean.digests != soft([[1, 2]], [[3, 5]], [[0, 0]]).mean().digests


def test_a_pair_is_complete_when_every_teacher_scored_it() -> None:
    labels = soft([[1, 2], [NAN, NAN], [0, 0]], [[1, 2], [0, 0], [0, 0]])
    assert labels.complete.tolist() == [True, False, True]
    assert labels.mean().complete.tolist() == [True, False, True]
    assert labels.only(["t2"]).complete.all()


def test_a_score_is_the_second_of_two_logits() -> None:
    assert logits_from(np.array([[2.5], [-1.0]]), "score", 2).tolist() == [[0, 2.5], [0, -1]]


def test_a_probability_is_its_log_odds() -> None:
    # p = 0.8: log 4; p = 0 and 1 are held to 1e-4: -+log 9999
    logits = logits_from(np.array([[0.8], [0.5], [0.0], [1.0]]), "probability", 2)
    assert logits.dtype == np.float32
    assert logits[:, 0].tolist() == [0, 0, 0, 0]
    assert logits[:, 1] == pytest.approx([math.log(4), 0, -math.log(9999), math.log(9999)], rel=1e-6)


def test_probabilities_of_all_classes_are_their_logs() -> None:
    logits = logits_from(np.array([[0.25, 0.75, 0.0]]), "probability", 3)
    assert logits[0] == pytest.approx([math.log(0.25), math.log(0.75), math.log(1e-4)], rel=1e-6)


@given(st.floats(0, 1))
def test_one_probability_and_both_say_the_same(p: float) -> None:
    single = logits_from(np.array([[p]]), "probability", 2)[0]
    both = logits_from(np.array([[1 - p, p]]), "probability", 2)[0]
    assert both[1] - both[0] == pytest.approx(single[1] - single[0], abs=2e-3)


def test_logits_stay_as_they_are() -> None:
    assert logits_from(LOGITS, "logits", 2).tolist() == LOGITS.tolist()


@pytest.mark.parametrize(
    ("values", "kind", "classes", "message"),
    [
        ([[1.0], [NAN]], "score", 2, "row 2: nan; score must be finite"),
        ([[0.0, math.inf]], "logits", 2, "row 1: inf; logits must be finite"),
        ([[1e39]], "score", 2, "row 1: 1e[+]39; score must be finite"),
        ([[0.2], [1.5]], "probability", 2, r"row 2: 1\.5; probability must lie in \[0, 1\]"),
        ([[-0.1]], "probability", 2, r"row 1: -0\.1"),
        ([[0.2, 0.8]], "score", 2, r"2 column\(s\) of kind score cannot be logits of 2 classes"),
        ([[0.2]], "score", 3, r"1 column\(s\) of kind score cannot be logits of 3 classes"),
        ([[0.2]], "probability", 3, r"1 column\(s\) of kind probability cannot be logits of 3 classes"),
        ([[0.2, 0.3, 0.5]], "logits", 2, r"3 column\(s\) of kind logits cannot be logits of 2 classes"),
    ],
)
def test_bad_numbers_are_errors_with_their_row(
    values: list[list[float]], kind: str, classes: int, message: str
) -> None:
    with pytest.raises(TmkdError, match=message):
        logits_from(np.array(values), kind, classes)  # type: ignore[arg-type]


def test_health_worked_by_hand() -> None:
    # t1 prefers 1, 1, 0, 0; t2 prefers 1, 0, 0 and has no score for the last pair.
    labels = soft([[0, 2], [0, 2], [0, -2], [0, -2]], [[0, 1], [1, 0], [1, 0], [NAN, NAN]])
    one, two = health(np.array([1, 0, 0, -1]), labels)
    assert (one.teacher, two.teacher) == ("t1", "t2")
    assert one.accuracy == pytest.approx(2 / 3)
    assert two.accuracy == 1
    assert one.mean == 0
    assert one.spread == pytest.approx(math.sqrt((0 + 4) / 2))
    assert two.mean == pytest.approx(0.5)
    assert two.spread == pytest.approx(math.sqrt((2 / 9 + 2 / 9) / 2))
    assert one.constant == 0.5
    assert two.constant == pytest.approx(2 / 3)
    assert one.agreement == {"t2": pytest.approx(2 / 3)}
    assert two.agreement == {"t1": pytest.approx(2 / 3)}


def test_a_constant_offset_between_classes_is_no_spread() -> None:
    assert health(None, soft([[0, 5], [0, 5]]))[0].spread == 0


def test_without_labels_there_is_no_accuracy() -> None:
    labels = soft([[0, 1], [1, 0]])
    assert health(None, labels)[0].accuracy is None
    assert health(np.array([-1, -1]), labels)[0].accuracy is None


def test_a_teacher_without_any_score_has_no_health() -> None:
    with pytest.raises(TmkdError, match="teacher t1: has scored no pair"):
        health(None, soft([[NAN, NAN]]))


def test_a_teacher_above_twice_the_others_deviation_is_a_warning() -> None:
    quiet, loud = [[0.0, 1.0], [0.0, -1.0]], [[0.0, 3.0], [0.0, -3.0]]
    warning = dominance_warning(health(None, soft(quiet, loud, quiet)))
    assert warning is not None
    assert warning.startswith(
        "teacher t2 dominates Eq. 4: the variance of its logits is 4.50, the median of the others' 0.50"
    )
    twice = [[0.0, 2.0], [0.0, -2.0]]  # exactly four times the variance
    assert dominance_warning(health(None, soft(quiet, twice, quiet))) is None
    assert dominance_warning(health(None, soft(loud))) is None


def test_the_warning_compares_a_teacher_with_the_others_alone() -> None:
    # With two teachers the median of both would be their mean: 6.5 times the other one is below four times that.
    one, other = [[0.0, 1.0], [0.0, -1.0]], [[0.0, 2.55], [0.0, -2.55]]
    warning = dominance_warning(health(None, soft(one, other)))
    assert warning is not None
    assert warning.startswith("teacher t2 dominates")


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"tmkd": "{"}, {"tmkd": "[]"}, {"tmkd": "{}"}])
def test_a_file_without_our_metadata_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"logits": LOGITS}, metadata=metadata))
    with pytest.raises(TmkdError, match=r"x\.safetensors: not a readable soft-label file"):
        read(path)
