"""Write a student as a one-logit BERT for CrossEncoder: python examples/export_one_logit.py STUDENT DEV_CORPUS FOLDER

STUDENT is a folder in runs/NAME/students, DEV_CORPUS is runs/NAME/pairs/TASK/dev.
"""

import sys
from pathlib import Path

from tmkd.data.pairs import Corpus
from tmkd.export.compat import export_compat

student, dev, folder = map(Path, sys.argv[1:])
corpus = Corpus.open(dev)
pairs = [(pair.question, pair.passage) for pair in corpus.pairs()]
report = export_compat(student, pairs, None, corpus.label_array(), folder)
print(f"accuracy on dev: student {report['accuracy']['student']:.3f}, one logit {report['accuracy']['compat']:.3f}")
print(f"probabilities apart: {report['largest_difference']:.4f} at most")
