"""A whole run in object storage: the digests of a local run, nothing made twice, gone on with elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import tiny
from object_server import BUCKET, CREDENTIALS, Fault, Proxy
from tiny import Call, World
from tmkd.flow.making import make
from tmkd.flow.plan import steps
from tmkd.object_store.objects import Objects
from tmkd.store import MANIFEST, Manifest, read_manifest

RUNS = f"s3://{BUCKET}/runs"


def empty_cache(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")


def digests(manifests: dict[str, Manifest]) -> dict[str, str]:
    """Digest of each artifact that does not measure time, with the names of the others."""
    return {name: one.digest if name not in ("report", "frontier") else "" for name, one in manifests.items()}


def local(world: World) -> dict[str, Manifest]:
    found = {path.parent.relative_to(world.run).as_posix(): path.parent for path in world.run.rglob(MANIFEST)}
    return {name: one for name, folder in found.items() if (one := read_manifest(folder)) is not None}


def stored() -> dict[str, Manifest]:
    objects = Objects(f"{RUNS}/tiny")
    found: dict[str, Manifest] = {}
    for one in objects.list():
        if one.name.endswith(f"/{MANIFEST}"):
            read = objects.read(one.name)
            assert read is not None
            found[one.name.removesuffix(f"/{MANIFEST}")] = Manifest(**json.loads(read.data))
    return found


def test_a_local_run_makes_its_steps_as_ever(world: World) -> None:
    run = tiny.opened(world)
    step = next(step for step in steps(run) if step.name == "collect/toy")
    assert make(run, step) == read_manifest(step.folder)


def test_a_local_run_does_not_import_obstore(world: World) -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from tmkd.cli.app import main\n"
        f"sys.argv = ['tmkd', 'show', {str(world.recipe)!r}, '--runs', {world.runs.as_uri()!r}]\n"
        "main()"
    )
    ended = subprocess.run(
        [tiny.command()[0], "-c", code], env=tiny.environment(), capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert "collect/toy" in ended.stdout


@pytest.mark.slow
def test_a_run_in_object_storage_has_the_digests_of_a_local_run(
    finished: World, s3: Proxy, tmp_path: Path, tmkd: Call
) -> None:
    first = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert first.returncode == 0, first.stderr
    assert digests(stored()) == digests(local(finished))
    again = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert " 0 steps done now" in f" {again.stderr}"
    empty_cache(tmp_path)
    s3.requests.clear()
    s3.moved.clear()
    elsewhere = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert " 0 steps done now" in f" {elsewhere.stderr}"
    assert elsewhere.stdout == again.stdout == first.stdout
    for secret in (CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]):
        assert not [one for one in stored().values() if secret in json.dumps(one.__dict__)]
        assert secret not in first.stderr + elsewhere.stderr


@pytest.mark.slow
def test_each_step_alone_is_made_from_an_empty_cache(finished: World, s3: Proxy, tmp_path: Path) -> None:
    done = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert done.returncode == 0, done.stderr
    before = stored()
    objects = Objects(f"{RUNS}/tiny")
    for name in (
        "pairs/web",
        "softlabels/web/t1",
        next(one for one in before if one.startswith("students/")),
        "report",
    ):
        objects.remove(one.name for one in [*objects.list(name)])
        empty_cache(tmp_path)
        ended = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
        assert ended.returncode == 0, (name, ended.stderr)
        assert "1 steps done now" in ended.stderr, name
        assert digests(stored()) == digests(before), name


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_scores_is_gone_on_with_elsewhere(
    finished: World, s3: Proxy, tmp_path: Path
) -> None:
    folder = "softlabels/toy/train/t1"
    arguments = ("run", finished.recipe, "--runs", RUNS)
    # Killed at the manifest of the scores: the shards are there, and have had time to be sent.
    process = subprocess.Popen(
        tiny.command(*arguments), env={**tiny.environment(), **os.environ}, stderr=subprocess.PIPE, text=True
    )
    shards: list[Any] = []
    objects = Objects(f"{RUNS}/tiny")
    while process.poll() is None and not shards:
        shards = [one for one in objects.list(folder) if one.name.endswith(".safetensors")]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert shards
    empty_cache(tmp_path)
    ended = tiny.tmkd(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert "watching whether it still works" in ended.stderr  # the killed run's lock
    assert digests(stored()) == digests(local(finished))


@pytest.mark.slow
def test_credentials_that_expire_in_the_middle_lose_nothing(finished: World, s3: Proxy, tmp_path: Path) -> None:
    s3.faults.append(Fault("PUT", "teachers/", after=2, times=10_000, status=400, code="ExpiredToken"))
    ended = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"error: {RUNS}/tiny: the credentials have expired; renew them")
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in ended.stderr
    s3.faults.clear()
    empty_before = {*stored()}
    ended = tiny.tmkd("run", finished.recipe, "--runs", RUNS)
    assert ended.returncode == 0, ended.stderr
    assert empty_before < {*stored()}
    assert digests(stored()) == digests(local(finished))


@pytest.mark.slow
def test_a_second_run_at_once_is_told_who_holds_the_first(world: World, s3: Proxy) -> None:
    first = subprocess.Popen(
        tiny.command("collect", world.recipe, "--runs", RUNS),
        env=tiny.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    objects = Objects(f"{RUNS}/tiny")
    while objects.read(".lock") is None:
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # so that it holds the run while the second asks
    second = tiny.tmkd("collect", world.recipe, "--runs", RUNS)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert f"process {first.pid}, since 20" in second.stderr
    assert first.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (404, "NoSuchBucket", "no such bucket"),
        (403, "AccessDenied", "may not list there"),
        (403, "RequestTimeTooSkewed", "clock"),
    ],
)
def test_a_bucket_that_cannot_be_listed_is_one_line(
    world: World, s3: Proxy, tmkd: Call, status: int, code: str, told: str
) -> None:
    s3.faults.append(Fault("GET", "list-type", times=99, status=status, code=code))
    said = tmkd("show", world.recipe, "--runs", RUNS)
    assert said.code == 1
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_read_only_bucket_is_one_line_and_nothing_is_made(world: World, s3: Proxy, tmkd: Call) -> None:
    s3.faults.append(Fault("PUT", "", times=99, status=403, code="AccessDenied"))
    said = tmkd("collect", world.recipe, "--runs", RUNS)
    assert said.code == 1
    assert (
        said.err
        == f"error: {RUNS}/tiny: these credentials may not write there; ask for read and write access to the bucket\n"
    )
    assert not [*Objects(f"{RUNS}/tiny").list()]


def test_a_uri_with_a_password_is_wrong_usage(world: World, tmkd: Call) -> None:
    said = tmkd("show", world.recipe, "--runs", "s3://key:hidden@bucket/runs")
    assert said.code == 2
    assert "holds no user or password" in said.err
    assert "hidden" not in said.err
