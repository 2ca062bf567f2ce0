"""The failures that tmkd tells a user in a line or two."""


class TmkdError(Exception):
    """Something outside the program is wrong; the message names it and says what to do (exit code 1)."""

    exit_code = 1


class UsageError(TmkdError):
    """The command or the recipe asks for something that cannot be meant (exit code 2)."""

    exit_code = 2
