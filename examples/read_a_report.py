"""Read a run's results: python examples/read_a_report.py runs/demo/report.json"""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(f"{report['name']}, {report['date']}, on {report['machine']}")
for row in report["rows"]:
    mrr = "-" if row["mrr"] is None else f"{row['mrr']:.3f}"
    print(f"{row['row']:10} {row['split']:8} accuracy {100 * row['accuracy']:.1f}  MRR {mrr}")
for note in report["notes"]:
    print(note)
