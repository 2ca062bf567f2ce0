"""LiteLLM: its proxy in front of the server, and its client alone in three dialects."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}  # nothing is fetched

import litellm
from exchange import read_task, write_rankings

KEY = f"sk-{secrets.token_hex(32)}"  # the proxy does not start without one
PROVIDERS = {"hosted_vllm": "", "cohere": "/v1/rerank", "jina_ai": ""}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def post(url: str, body: dict) -> dict:
    """Reply to a POST."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as reply:
        return json.load(reply)


def wait_until_live(proxy: subprocess.Popen, port: int) -> None:
    """Wait for the proxy; it takes a while to start."""
    for _ in range(600):
        assert proxy.poll() is None, "the proxy has ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError


def pairs(results: list) -> list[tuple[int, float]]:
    """(index, score) of results."""
    return [(one["index"], one["relevance_score"]) for one in results]


url, question, documents = read_task()
body = {"model": "reranker", "query": question, "documents": documents}
rankings = {}
with tempfile.TemporaryDirectory() as folder:
    model = {"model_name": "reranker", "litellm_params": {"model": "hosted_vllm/tmkd", "api_base": url}}
    config = Path(folder, "config.yaml")
    config.write_text(json.dumps({"model_list": [model], "general_settings": {"master_key": KEY}}))
    port = free_port()
    words = ["--config", config, "--host", "127.0.0.1", "--port", str(port)]
    proxy = subprocess.Popen([Path(sys.executable).with_name("litellm"), *words], stdout=sys.stderr)
    try:
        wait_until_live(proxy, port)
        rankings["proxy"] = pairs(post(f"http://127.0.0.1:{port}/v1/rerank", body)["results"])
        rankings["proxy, top 2"] = pairs(post(f"http://127.0.0.1:{port}/rerank", body | {"top_n": 2})["results"])
    finally:
        proxy.terminate()
        proxy.wait(30)
for provider, path in PROVIDERS.items():
    asked = body | {"model": f"{provider}/tmkd", "api_base": url + path, "api_key": "any"}
    rankings[provider] = pairs(litellm.rerank(**asked).results)
write_rankings(rankings)
