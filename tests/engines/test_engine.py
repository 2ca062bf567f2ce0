from __future__ import annotations

import pickle

from tmkd.engines.engine import OnlyHere, in_order


def test_results_that_come_early_wait_for_their_turn() -> None:
    taken = iter([(1, "b"), (0, "a"), (3, "d"), (2, "c")])
    ordered = in_order(taken)
    assert [next(ordered), next(ordered)] == [(0, "a"), (1, "b")]
    assert next(taken) == (3, "d")  # no result was taken before it was needed
    assert [*in_order([(2, "c"), (0, "a"), (1, "b")])] == [(0, "a"), (1, "b"), (2, "c")]


def test_results_behind_a_piece_that_is_never_done_stay_back() -> None:
    assert [*in_order([(0, "a"), (2, "c")])] == [(0, "a")]


def test_a_callback_is_called_in_its_own_process_alone() -> None:
    called: list[int] = []
    here = OnlyHere(called.append)
    here(1)
    pickle.loads(pickle.dumps(here))(2)
    assert called == [1]
