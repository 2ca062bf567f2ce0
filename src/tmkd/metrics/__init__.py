"""Measures of quality and of agreement (§4.2)."""
