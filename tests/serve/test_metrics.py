"""Metrics: the names that dashboards know, and the counts of answers, tokens and damaged entries."""

from __future__ import annotations

from serving import QUESTION, TEXTS, Client


def value(client: Client, line: str) -> float:
    """Value of the metric whose line begins so."""
    text = client.get("/metrics").body.decode()
    found = [one for one in text.splitlines() if one.startswith(line)]
    assert found, f"{line} is not in\n{text}"
    return float(found[0].split()[-1])


def test_requests_are_measured_by_method_route_and_status(client: Client) -> None:
    client.post("/rerank", {"query": QUESTION, "texts": TEXTS})
    client.post("/rerank", {"query": QUESTION})
    name = 'http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="%d",'
    assert value(client, name % 200 + 'http_route="/rerank"}') == 1
    assert value(client, name % 422 + 'http_route="/rerank"}') == 1
    assert value(client, "http_server_active_requests") == 1  # this one


def test_answers_and_tokens_are_counted(client: Client) -> None:
    before = value(client, "tmkd_computed_tokens_total")
    for _ in range(2):
        client.get(f"/answer?q={QUESTION.replace(' ', '+')}")
    assert value(client, 'tmkd_answers_total{route="tail"}') == 1
    assert value(client, 'tmkd_answers_total{route="cache"}') == 1
    assert value(client, "tmkd_computed_tokens_total") > before
    assert value(client, "tmkd_tokens_per_second") > 0
    assert value(client, "tmkd_waiting_tokens") == 0


def test_damaged_entries_are_counted_once(client: Client) -> None:
    assert client.served.answerer is not None
    client.served.answerer.damaged = 3
    assert [value(client, "tmkd_damaged_entries_total") for _ in range(2)] == [3, 3]


def test_no_metric_has_a_question(client: Client) -> None:
    client.get("/answer?q=secret+words")
    assert "secret" not in client.get("/metrics").body.decode()
