"""llama-index's reranker for TEI servers."""

from exchange import read_task, write_rankings
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

url, question, documents = read_task()
reranker = TextEmbeddingInference(base_url=url, top_n=2, auth_token="Bearer any")
nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
best = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle(question))
write_rankings({"postprocess_nodes, top 2": [(documents.index(one.text), one.score) for one in best]})
