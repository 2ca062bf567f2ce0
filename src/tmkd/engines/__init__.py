"""Engines: pure work over many pieces, on this machine's processes or on a Ray cluster."""
