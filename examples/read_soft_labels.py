"""Read teachers' logits of a stage-1 corpus: python examples/read_soft_labels.py runs/demo TASK CORPUS"""

import sys
from pathlib import Path

from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn
from tmkd.store import sealed

run, task, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
corpus = Corpus.open(run / "pairs" / name)
columns = [
    TeacherColumn(folder.name, sealed(run / "teachers" / task / folder.name).digest, folder)
    for folder in sorted((run / "softlabels" / name).iterdir())
]
soft, labels = SoftLabels.load(corpus, columns), corpus.labels.names
print(f"{len(corpus)} pairs, logits {soft.logits.shape}: pairs, teachers, classes")
for pair, logits in zip(corpus.pairs(), soft.logits[:3], strict=False):
    print(f"\n{pair.question}\n{pair.passage}")
    for teacher, row in zip(soft.teachers, logits, strict=True):
        print(f"  {teacher}:", *(f"{label} {logit:+.2f}" for label, logit in zip(labels, row, strict=True)))
