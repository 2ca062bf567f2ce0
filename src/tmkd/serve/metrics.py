"""Metrics for Prometheus: OpenTelemetry's stable names for HTTP, and our own beside them.

Where PROMETHEUS_MULTIPROC_DIR is set before this module is imported, all processes that share the folder are summed.
"""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from tmkd.serve.answer import Answerer
from tmkd.serve.scorer import Scorer

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
# Seconds: OpenTelemetry's advice, with shorter ones before it.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class Metrics:
    """Metrics of one server process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series for each counter
        self._registry = CollectorRegistry()
        self._duration = Histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP server requests.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.active = self._gauge("http_server_active_requests", "Requests under way.")
        self._answers = self._counter("tmkd_answers", "Answers by route: head, tail, cache.", "route")
        self.unranked = self._counter("tmkd_unranked_passages", "Passages that the deadline left without a score.")
        self.withdrawn = self._counter("tmkd_withdrawn_requests", "Requests whose client went away.")
        self._damaged = self._counter("tmkd_damaged_entries", "Entries of the look-up store whose digest was wrong.")
        self._computed = self._counter("tmkd_computed_tokens", "Token ids scored.")
        self._waiting = self._gauge("tmkd_waiting_tokens", "Token ids that wait for a core.")
        self._rate = self._gauge("tmkd_tokens_per_second", "Measured rate of all cores of a process together.")
        self.duration = cache(self._duration.labels)
        self.answers = cache(self._answers.labels)
        self._seen_tokens = self._seen_damaged = 0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode="livesum")

    def collect(self, scorer: Scorer, answerer: Answerer | None) -> None:
        """Take over what scorer and answerer count themselves."""
        computed = scorer.ranker.queue.computed_tokens
        self._computed.inc(computed - self._seen_tokens)
        self._seen_tokens = computed
        if answerer is not None:
            self._damaged.inc(answerer.damaged - self._seen_damaged)
            self._seen_damaged = answerer.damaged
        self._waiting.set(scorer.ranker.queue.waiting_tokens)
        self._rate.set(scorer.backlog.rate)

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4, of all processes together."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
