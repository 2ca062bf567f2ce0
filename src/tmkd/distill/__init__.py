"""The two stages, and the rows of the tables as lists of stages (§3.1, §4.3)."""
