"""Rank passages with an exported bundle; no torch needed: python examples/rank_with_a_bundle.py runs/demo/bundle"""

import sys

from tmkd.bundle import Ranker

QUESTION = "why is the sky blue"
PASSAGES = [
    "Grass is green.",
    "Air scatters blue light more than red, so the sky looks blue.",
    "Buy sky-blue paint now, two tins for the price of one.",
]

ranker = Ranker(sys.argv[1])
print(f"{ranker.precision} by {ranker.engine}")
for entry in ranker.rank(QUESTION, PASSAGES, top_k=2):
    print(f"{entry['score']:.3f}  {PASSAGES[entry['corpus_id']]}")
