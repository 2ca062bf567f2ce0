"""Exports: a student, or its training pairs, in formats of other programs."""
