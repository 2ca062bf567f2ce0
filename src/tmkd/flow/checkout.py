"""Git checkout that a recipe lies in: its commit, for what is written down beside results."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

NO_COMMIT = "none"


def commit_of(folder: Path, results: Path) -> str:
    """Last commit of a folder's checkout that changed something outside `results`; "none" without a checkout.

    `-changed` is behind it where a tracked file outside `results` differs: results are committed while a run goes on.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        return NO_COMMIT
    counted = ["--", ":(top)"]
    with suppress(ValueError):  # results elsewhere
        counted.append(f":(top,exclude,literal){results.resolve().relative_to(Path(top).resolve()).as_posix()}")
    commit = _git(folder, "rev-list", "-1", "HEAD", *counted)
    if not commit:
        return NO_COMMIT
    return commit if _git(folder, "diff", "--quiet", "--no-ext-diff", "HEAD", *counted) == "" else f"{commit}-changed"


def _git(folder: Path, *words: str) -> str | None:
    """Output of a git command, stripped; None where it fails or there is no git."""
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
