"""Haystack's rankers for TEI and for vLLM servers."""

from exchange import read_task, write_rankings
from haystack import Document
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.huggingface_api.ranker import TruncationDirection
from haystack_integrations.components.rankers.vllm import VLLMRanker

url, question, documents = read_task()
given = [Document(content=text) for text in documents]
tei, vllm = HuggingFaceTEIRanker(url=url), VLLMRanker(model="tmkd", api_base_url=f"{url}/v1")
replies = {
    "HuggingFaceTEIRanker": tei.run(question, given),
    "HuggingFaceTEIRanker, top 2": tei.run(question, given, top_k=2, truncation_direction=TruncationDirection.RIGHT),
    "VLLMRanker": vllm.run(question, given),
    "VLLMRanker, top 2": vllm.run(question, given, top_k=2),
}
write_rankings(
    {call: [(documents.index(one.content), one.score) for one in reply["documents"]] for call, reply in replies.items()}
)
