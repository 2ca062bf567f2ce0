"""langchain-cohere, which brings Cohere's client of the fifth generation."""

from exchange import read_task, write_rankings
from langchain_cohere import CohereRerank
from langchain_core.documents import Document

url, question, documents = read_task()
reranker = CohereRerank(model="tmkd", base_url=url, cohere_api_key="any", top_n=2)
everything = reranker.rerank(documents, question, top_n=None)
compressed = reranker.compress_documents([Document(text) for text in documents], question)
write_rankings(
    {
        "rerank": [(one["index"], one["relevance_score"]) for one in everything],
        "compress_documents, top 2": [
            (documents.index(one.page_content), one.metadata["relevance_score"]) for one in compressed
        ],
    }
)
