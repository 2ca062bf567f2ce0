"""Collecting, scoring and precomputing on a Ray cluster with the run in object storage, beside a finished local run.

    tmkd run RECIPE --workers 2 --set …
    python -m benchmarks.cluster_run RECIPE --local runs --runs s3://BUCKET/runs --set …

The cluster has two nodes of one CPU each on this machine; one is killed while the first teacher scores. The bucket has
no such run yet; its address and credentials are in the environment. The local run's models are sent there first, for
no engine trains; the rest is made anew. Exit status 1: an artifact differs from the local run's, or is absent.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tmkd.machine import machine_line
from tmkd.object_store.objects import Objects
from tmkd.object_store.remote_run import RemoteRun
from tmkd.recipe.reader import read_recipe
from tmkd.store import MANIFEST, read_manifest

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
VERBS = ("collect", "score", "precompute")
MODELS = ("teachers", "students", "bundle")  # folders of a run that hold what is trained, or exported from it
SCORES = "softlabels"
MADE = ("pairs", "index", "questions", SCORES, "precomputed", "lookup")  # those that the verbs make
SECONDS = 0.5  # between looks at the bucket


def main() -> None:
    """Read the options, send the models, run the verbs, and compare."""
    from ray.cluster_utils import Cluster

    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--local", type=Path, default=Path("runs"), help="where the finished local run lies")
    options.add_argument("--runs", required=True, help="s3://BUCKET/runs")
    options.add_argument("--set", dest="changes", action="append", default=[], help="a change of the recipe")
    given = options.parse_args()
    name = read_recipe(given.recipe, given.changes).name
    remote = RemoteRun(f"{given.runs}/{name}")
    local = given.local / name
    for artifact in artifacts(local, MODELS):
        send(remote.objects, local, artifact)
    print(f"{machine_line()}; two nodes of a CPU each", flush=True)
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    second = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    try:
        for verb in VERBS:
            changes = [f"engine={{kind: ray, address: '{cluster.address}'}}", *given.changes]
            words = [verb, str(given.recipe), "--runs", given.runs, *(w for one in changes for w in ("--set", one))]
            begun = time.monotonic()
            running = subprocess.Popen([sys.executable, "-m", "tmkd", *words])
            if verb == "score":
                _wait_for_a_shard(remote.objects, running)
                if running.poll() is not None:
                    sys.exit("scoring ended before a node could be killed")
                cluster.remove_node(second, allow_graceful=False)
                print(f"a node killed after {time.monotonic() - begun:.0f} s", flush=True)
            if running.wait():
                sys.exit(f"tmkd {verb} ended with status {running.returncode}")
            print(f"{verb}: {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        cluster.shutdown()
    found = compared(remote, local, MADE)
    for name, state in found.items():
        print(f"{name}: {state}")
    sys.exit(any(state != "same" for state in found.values()))


def artifacts(run: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Folders with a manifest under these folders of a run, in the order of their names."""
    for kind in kinds:
        yield from sorted(path.parent for path in (run / kind).rglob(MANIFEST))


def send(objects: Objects, run: Path, artifact: Path) -> None:
    """Put an artifact's files into object storage, its manifest last."""
    manifest = read_manifest(artifact)
    assert manifest is not None
    for file in (*manifest.files, MANIFEST):
        path = artifact / file
        objects.send(path.relative_to(run).as_posix(), path)


def _wait_for_a_shard(objects: Objects, running: subprocess.Popen[bytes]) -> None:
    """Wait until a shard of a teacher's scores is in the bucket, or the command has ended."""
    there = len(list(objects.list(SCORES)))
    while running.poll() is None and len(list(objects.list(SCORES))) == there:
        time.sleep(SECONDS)


def compared(remote: RemoteRun, local: Path, kinds: tuple[str, ...]) -> dict[str, str]:
    """What became of each artifact of the local run: name → same, differs, or absent from the bucket."""
    remote.refresh()
    found = {}
    for artifact in artifacts(local, kinds):
        name = artifact.relative_to(local)
        mine, other = read_manifest(artifact), read_manifest(remote.folder / name)
        same = other is not None and mine is not None and other.digest == mine.digest
        found[name.as_posix()] = "same" if same else "absent" if other is None else "differs"
    return found


if __name__ == "__main__":
    main()
