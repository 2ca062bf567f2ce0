"""Clients of other rerank servers in front of ours, each in an environment of its own."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import tiny
from clients.environments import CLIENTS, is_current, python_of
from serving import server
from tmkd.bundle import Ranker

pytestmark = [pytest.mark.slow, pytest.mark.clients]

GUIDE = Path(__file__).parents[2] / "docs" / "serve.md"
SNIPPETS = re.findall(r"^```python (\w+)\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
QUESTION = tiny.question(3)
SENTENCE = tiny.passage(3, True).capitalize()
DOCUMENTS = [
    tiny.passage(5, True),
    f"🧊 𝒜 is a cat. {SENTENCE}",  # beyond the basic plane: offsets count code points
    tiny.passage(3, False),
    " ".join([tiny.passage(4, True)] * 100),  # too long for the model: cut, not refused
]


@pytest.fixture(scope="module")
def url(made: tuple[Path, Path]) -> Iterator[str]:
    """Address of a server of the bundle."""
    with server(made[1]) as process:
        yield f"http://127.0.0.1:{process.port}"


@pytest.fixture(scope="module")
def ranking(made: tuple[Path, Path]) -> list[tuple[int, float]]:
    """(index, score) of the documents, as the bundle ranks them in this process."""
    return [(one["corpus_id"], one["score"]) for one in Ranker(made[1]).rank(QUESTION, DOCUMENTS)]


def run(client: str, absent: Callable[[str], NoReturn], script: Path, task: str = "") -> str:
    """Output of a script in a client's environment."""
    if not is_current(client):
        absent(f"{client} has no current environment: python tests/clients/environments.py {client}")
    done = subprocess.run([python_of(client), script], input=task, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def called(url: str, ranking: list[tuple[int, float]], absent: Callable[[str], NoReturn]) -> Callable[[str], Any]:
    """Run a client's script, each of whose calls gets the documents as the bundle ranks them."""

    def call(client: str) -> Any:
        task = json.dumps({"url": url, "question": QUESTION, "documents": DOCUMENTS})
        output = run(client, absent, Path(__file__).with_name(f"call_{client}.py"), task)
        got = json.loads(output.splitlines()[-1])
        for name, results in got["rankings"].items():
            wanted = ranking[:2] if "top 2" in name else ranking
            assert [index for index, _ in results] == [index for index, _ in wanted], name
            assert [score for _, score in results] == pytest.approx([score for _, score in wanted], abs=1e-6), name
        return got

    return call


def test_cohere_s_client_gets_rankings_spans_and_errors(called: Any, ranking: list[tuple[int, float]]) -> None:
    got = called("cohere")
    assert [*got["rankings"]] == ["v2", "v2, top 2", "v2, spans", "v1", "v1, fields"]
    assert got["texts"] == [DOCUMENTS[index] for index, _ in ranking]
    places = {index: (start, end) for index, start, end in got["spans"]}
    assert places[0] == (0, len(DOCUMENTS[0]))
    start, end = places[1]
    assert DOCUMENTS[1][start:end] in ("🧊 𝒜 is a cat.", SENTENCE)
    assert "query" in got["error"]


@pytest.mark.parametrize(
    ("client", "calls"),
    [
        ("langchain_cohere", ["rerank", "compress_documents, top 2"]),
        ("rerankers", ["text-embeddings-inference", "jina", "cohere", "voyage", "mixedbread.ai"]),
        ("langchain_reranker", ["rerank", "rerank, top 2"]),
        ("llama_index", ["postprocess_nodes, top 2"]),
        ("haystack", ["HuggingFaceTEIRanker", "HuggingFaceTEIRanker, top 2", "VLLMRanker", "VLLMRanker, top 2"]),
        ("litellm", ["proxy", "proxy, top 2", "hosted_vllm", "cohere", "jina_ai"]),
    ],
)
def test_each_call_of_a_client_gets_the_bundle_s_ranking(called: Any, client: str, calls: list[str]) -> None:
    assert [*called(client)["rankings"]] == calls


@pytest.mark.parametrize(("client", "snippet"), SNIPPETS, ids=[client for client, _ in SNIPPETS])
def test_the_guide_s_snippet_of_a_client_works(
    url: str, absent: Callable[[str], NoReturn], tmp_path: Path, client: str, snippet: str
) -> None:
    assert "http://127.0.0.1:8080" in snippet
    (tmp_path / "snippet.py").write_text(snippet.replace("http://127.0.0.1:8080", url), encoding="utf-8")
    assert run(client, absent, tmp_path / "snippet.py").strip() not in ("", "[]")


def test_the_guide_has_a_snippet_of_each_client_but_the_proxy() -> None:
    assert {client for client, _ in SNIPPETS} == {*CLIENTS} - {"litellm"}
