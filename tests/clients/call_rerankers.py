"""rerankers, speaking five dialects."""

from exchange import read_task, write_rankings
from rerankers.models.api_rankers import APIRanker

PATHS = {
    "text-embeddings-inference": "rerank",
    "jina": "v1/rerank",
    "cohere": "v1/rerank",
    "voyage": "v1/rerank",
    "mixedbread.ai": "v1/reranking",
}

url, question, documents = read_task()
rankings = {}
for provider, path in PATHS.items():
    reranker = APIRanker("tmkd", api_key="any", api_provider=provider, url=f"{url}/{path}")
    results = reranker.rank(question, documents).results
    rankings[provider] = [(documents.index(one.document.text), one.score) for one in results]
write_rankings(rankings)
