"""Failures of a server in one line, without what its answers or the environment hold."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from object_server import BUCKET, KEY, SECRET, TOKEN, Fault, Proxy
from tmkd.errors import TmkdError
from tmkd.object_store.objects import Objects


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDenied", "may not write"),
        (400, "ExpiredToken", "have expired"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "SignatureDoesNotMatch", "not accepted"),
        (403, "InvalidAccessKeyId", "not accepted"),
        (503, "SlowDown", "503 SlowDown"),
        (418, "Teapot", "418 Teapot"),
    ],
)
def test_a_refusal_is_told_in_one_line_without_keys(
    objects: Objects, server: Proxy, status: int, code: str, told: str
) -> None:
    server.faults.append(Fault("PUT", "", times=99, status=status, code=code))
    with pytest.raises(TmkdError, match=told) as failure:
        objects.write("a", b"1")
    shown = "".join(traceback.format_exception(failure.value))
    assert "\n" not in str(failure.value)
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in shown]


def test_a_server_that_is_overloaded_for_a_moment_is_asked_again(objects: Objects, server: Proxy) -> None:
    server.faults += [
        Fault("PUT", "", times=2, status=503, code="SlowDown"),
        Fault("GET", "", times=2, status=500, code="InternalError"),
    ]
    objects.write("a", b"1")
    stored = objects.read("a")
    assert stored is not None
    assert stored.data == b"1"
    assert not [fault for fault in server.faults if fault.times]


@pytest.mark.parametrize(
    "call",
    [
        lambda objects: list(objects.list()),
        lambda objects: objects.read("a"),
        lambda objects: objects.create("a", b""),
        lambda objects: objects.write("a", b""),
    ],
    ids=["list", "read", "create", "write"],
)
def test_a_bucket_that_is_not_there_is_told(server: Proxy, call: Callable[[Objects], object]) -> None:
    with pytest.raises(TmkdError, match="no such bucket"):
        call(Objects("s3://not-there/runs"))


def test_absent_credentials_are_told(server: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where a cloud's machine asks for its role
    with pytest.raises(TmkdError, match="no credentials; set those"):
        Objects(f"s3://{BUCKET}/runs").read("a")


def test_a_server_out_of_reach_is_told(server: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TmkdError, match="cannot be reached"):
        Objects(f"s3://{BUCKET}/runs").read("a")
