"""Cohere's client of the seventh generation: its second and first API, and relevant spans."""

import cohere
from exchange import read_task, write_rankings

url, question, documents = read_task()
second, first = cohere.ClientV2("any", base_url=url), cohere.Client("any", base_url=url)
spans = cohere.RerankRelevantSpans(mode="enabled", threshold=0.0, max_spans=1)
replies = {
    "v2": second.rerank(model="tmkd", query=question, documents=documents),
    "v2, top 2": second.rerank(model="tmkd", query=question, documents=documents, top_n=2, max_tokens_per_doc=4096),
    "v2, spans": second.rerank(model="tmkd", query=question, documents=documents, relevant_spans=spans),
    "v1": first.rerank(model="tmkd", query=question, documents=documents, return_documents=True),
    "v1, fields": first.rerank(query=question, documents=[{"text": text} for text in documents], rank_fields=["text"]),
}
try:
    second.rerank(model="tmkd", query=" ", documents=documents)
    error = ""
except cohere.BadRequestError as refused:
    error = str(refused.body)
write_rankings(
    {call: [(one.index, one.relevance_score) for one in reply.results] for call, reply in replies.items()},
    texts=[one.document.text for one in replies["v1"].results],
    spans=[[one.index, span.start, span.end] for one in replies["v2, spans"].results for span in one.relevant_spans],
    error=error,
)
