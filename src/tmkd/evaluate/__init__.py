"""Accuracy, size and speed of each row (§4, §5): pairs → probabilities → measures."""
