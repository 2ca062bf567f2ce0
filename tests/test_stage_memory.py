"""The benchmark of stage 1's memory, at tiny sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tiny
from tmkd.data.pairs import Corpus

ROOT = Path(__file__).parents[1]


def test_stage_1_is_measured_from_its_start_and_resumed_at_the_middle_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.stage_memory import make, train

    model = tiny.write_encoder(tmp_path / "model")
    monkeypatch.setattr("benchmarks.stage_memory.LONGEST", 32)
    facts = make(tmp_path / "home", model, 100)
    assert facts["pairs"] == 100
    assert len(Corpus.open(tmp_path / "home" / "corpus")) == 100
    assert make(tmp_path / "home", model, 100) == facts  # it stays
    # 25 steps of 4 pairs; a step is needed to see that the last one measured is done
    for place, step in ((0.0, 0), (0.5, 10), (1.0, 21)):
        found = train(tmp_path / "home", model, 1, 4, 3, place)
        assert found["step"] == step
        assert 0 < found["first_step_seconds"] < 60
        assert found["pairs_per_second"] > 0
        assert 10 < found["rss_anon_mb"] < 10_000
    assert sys.modules["benchmarks.stage_memory"].TEACHERS == ("t1", "t2", "t3")
