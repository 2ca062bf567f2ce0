"""langchain-reranker."""

from exchange import read_task, write_rankings
from langchain_core.documents import Document
from langchain_reranker.rerankers import init_reranker

url, question, documents = read_task()
reranker = init_reranker("custom:tmkd", base_url=url)
results = reranker.rerank(question, [Document(page_content=text) for text in documents])
best = reranker.rerank(question, [Document(page_content=text) for text in documents], top_n=2)
write_rankings(
    {
        "rerank": [(one.index, one.relevance_score) for one in results],
        "rerank, top 2": [(one.index, one.relevance_score) for one in best],
    }
)
