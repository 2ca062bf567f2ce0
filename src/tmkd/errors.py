"""The failures that tmkd tells a user in a line or two, and the near miss."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TmkdError(Exception):
    """Something outside the program is wrong; the message names it and says what to do (exit code 1)."""

    exit_code = 1


class UsageError(TmkdError):
    """The command or the recipe asks for something that cannot be meant (exit code 2)."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Hint for an unknown word: the closest known one, else the list of all known ones."""
    names = list(dict.fromkeys(map(str, known)))
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean '{close[0]}'?" if close else f"there is {', '.join(names) or 'none'}"
