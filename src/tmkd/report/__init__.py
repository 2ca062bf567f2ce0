"""Reports of results and corpora: report.json, HTML pages, the terminal's table (§4, §5)."""
