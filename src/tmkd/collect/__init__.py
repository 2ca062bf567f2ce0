"""Collection: files, pages and questions → corpora of pairs (§3.1.1 step 1, §4.1)."""
