"""Search for candidate passages (§3.1.1 step 1), offline and online."""
