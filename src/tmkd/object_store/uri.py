"""URI of the folder of all runs: checked, and the cache folder on this machine that belongs to a run of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tmkd.errors import UsageError, did_you_mean

SCHEMES = ("s3", "gs", "az", "file")
CACHE = "TMKD_CACHE"  # environment variable: folder of the cache
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


def runs_place(runs: str) -> Path | str:
    """Place of all runs: a path for a path or a `file://` URI, the URI without a slash at its end for object storage.

    Raises: UsageError for a URI that is of no known kind, names no bucket, or holds a password, a query or a fragment.
    """
    if (torn := re.match(r"(s3|gs|az|file):/(?!/)", runs)) is not None:
        raise UsageError(f"--runs {runs}: a URI has two slashes: {torn[1]}://")
    if "://" not in runs:
        return Path(runs)
    scheme = runs.partition("://")[0]
    if scheme not in SCHEMES:
        raise UsageError(f"--runs: no runs in {scheme}://…; {did_you_mean(scheme, SCHEMES)}")
    parts = urlsplit(runs)
    if "@" in parts.netloc:  # not repeated: it may hold a password
        raise UsageError(
            f"--runs {scheme}://…: a URI holds no user or password; the environment gives credentials, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if parts.query or parts.fragment:
        raise UsageError(f"--runs {scheme}://{parts.netloc}{parts.path}: a URI of runs has no '?' or '#'")
    if scheme == "file":
        if parts.netloc or not parts.path:
            raise UsageError(f"--runs {runs}: a file URI has three slashes: file:///folder")
        return Path(unquote(parts.path))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,}", parts.netloc):
        raise UsageError(f"--runs {runs}: '{parts.netloc}' is no name of a bucket; it has three characters or more")
    return runs.rstrip("/")


def cache_root() -> Path:
    """Folder of the cache on this machine: `TMKD_CACHE`, else `tmkd` in the user's cache folder."""
    if given := os.environ.get(CACHE):
        return Path(given).expanduser().absolute()  # workers of a cluster have another working folder
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tmkd"


def cache_folder(uri: str) -> Path:
    """Folder of a run in the cache; two servers that have a bucket of one name have a folder each."""
    runs, _, name = uri.rpartition("/")
    server = next((os.environ[key] for key in _ENDPOINTS if os.environ.get(key)), "")
    digest = hashlib.sha256(f"{server} {runs}".encode()).hexdigest()[:12]
    return cache_root() / f"{urlsplit(uri).netloc}-{digest}" / name
