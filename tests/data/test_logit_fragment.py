"""Teachers' logits by pair digest: small, without text, read back for any order of the pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tmkd.data.fragment import read_fragment, write_fragment
from tmkd.data.labels import LabelSet
from tmkd.data.logit_fragment import read_logits, write_logits
from tmkd.data.pairs import pair_id
from tmkd.errors import TmkdError

LABELS = LabelSet("toy", ("no", "yes"), "yes")
WORDS = [f"word{number}" for number in range(50)]


def ids(words: list[str]) -> np.ndarray:
    """Ids of pairs as `Corpus.id_array` has them."""
    whole = b"".join(bytes.fromhex(pair_id("why", word)) for word in words)
    return np.frombuffer(whole, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def logits(pairs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(pairs, 2)).astype(np.float32)


def test_logits_are_read_back_by_the_digits_of_the_ids(tmp_path: Path) -> None:
    web, dev = logits(50), logits(2, 1)
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(WORDS), web), "toy/dev": (ids(["a", "b"]), dev)}, {})
    found, values = read_logits(path, LABELS)
    assert values.dtype == np.float32
    by_id = dict(zip(found, values, strict=True))
    assert len(by_id) == 52
    for word, expected in zip([*WORDS, "a", "b"], np.concatenate([web, dev]), strict=True):
        np.testing.assert_array_equal(by_id[pair_id("why", word)[:16]], expected.astype(np.float16))


def test_the_order_of_the_pairs_changes_nothing(tmp_path: Path) -> None:
    values = logits(50)
    one = write_logits(tmp_path / "one", "t1", LABELS, {"web": (ids(WORDS), values)}, {})
    two = write_logits(tmp_path / "two", "t1", LABELS, {"web": (ids(WORDS)[::-1], values[::-1])}, {})
    assert one.read_bytes() == two.read_bytes()


def test_teachers_share_the_digests_of_the_pairs(tmp_path: Path) -> None:
    for seed, name in enumerate(("t1", "t2")):
        write_logits(tmp_path, name, LABELS, {"web": (ids(WORDS), logits(50, seed))}, {})
    assert len(list((tmp_path / "pairs").iterdir())) == 1
    assert {path.name for path in (tmp_path / "teachers").iterdir()} == {"t1.npz", "t2.npz"}


def test_a_pair_takes_few_bytes(tmp_path: Path) -> None:
    many = np.random.default_rng(0).integers(0, 1 << 64, size=(20_000, 2), dtype=np.uint64)
    path = write_logits(tmp_path, "t1", LABELS, {"web": (many, logits(20_000))}, {})
    (keys,) = (tmp_path / "pairs").iterdir()
    assert keys.stat().st_size < 6.8 * 20_000  # 64 bits less the logarithm of their number, and more for so few
    assert path.stat().st_size < 4 * 20_000


def test_pairs_without_a_score_are_left_out(tmp_path: Path) -> None:
    values = logits(3)
    values[1] = np.nan
    found, _ = read_logits(write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a", "b", "c"]), values)}, {}), LABELS)
    assert {*found} == {pair_id("why", word)[:16] for word in ("a", "c")}
    values[:] = np.nan
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a", "b", "c"]), values)}, {})
    with pytest.raises(TmkdError, match="holds no pair's logits"):
        read_logits(path, LABELS)


def test_logits_beyond_float16_stay_float32(tmp_path: Path) -> None:
    values = np.array([[-1e5, 1e5]], dtype=np.float32)
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a"]), values)}, {})
    np.testing.assert_array_equal(read_logits(path, LABELS)[1], values)


def test_other_classes_are_refused(tmp_path: Path) -> None:
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a"]), logits(1))}, {})
    with pytest.raises(TmkdError, match=r"t1\.npz: holds logits of the classes \['no', 'yes'\], not \['yes', 'no'\]"):
        read_logits(path, LabelSet("toy", ("yes", "no"), "yes"))


def test_another_kind_of_fragment_is_refused(tmp_path: Path) -> None:
    write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a"]), logits(1))}, {})
    (keys,) = (tmp_path / "pairs").iterdir()
    with pytest.raises(TmkdError, match="not the fragment of a teacher"):
        read_logits(keys, LABELS)


def test_digests_of_other_pairs_are_refused(tmp_path: Path) -> None:
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a"]), logits(1))}, {})
    write_logits(tmp_path / "other", "t1", LABELS, {"web": (ids(["b"]), logits(1))}, {})
    (keys,), (others,) = ((folder / "pairs").iterdir() for folder in (tmp_path, tmp_path / "other"))
    keys.write_bytes(others.read_bytes())
    with pytest.raises(TmkdError, match="not the digests of pairs that the teachers' logits go with"):
        read_logits(path, LABELS)
    keys.unlink()
    with pytest.raises(TmkdError, match="no such fragment"):
        read_logits(path, LABELS)
    write_fragment(keys, {}, {"keys": np.zeros(3)})
    with pytest.raises(TmkdError, match="not the digests of pairs"):
        read_logits(path, LABELS)


def test_more_logits_than_pairs_are_refused(tmp_path: Path) -> None:
    path = write_logits(tmp_path, "t1", LABELS, {"web": (ids(["a"]), logits(1))}, {})
    facts, _ = read_fragment(path)
    write_fragment(path, facts, {"web": np.zeros((2, 2), np.float16)})
    with pytest.raises(TmkdError, match=r"web has logits of shape \(2, 2\) for 1 pairs"):
        read_logits(path, LABELS)
