"""Results as people read them: report.json, report.html and the terminal's tables (§4, §5)."""
