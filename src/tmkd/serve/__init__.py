"""Answers to questions (§1): look-up of what was computed offline, and ranking on the fly."""
