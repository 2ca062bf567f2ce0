"""How good, how small and how fast each row is (§4, §5): pairs → probabilities → measures → tables and a report."""
