"""Table of the pins in constraints.txt without a wheel, by platform and Python: there an install would need a compiler.

    .venv/bin/python .ci/wheels.py

Asks pip (and so the package index) for every pin, platform and Python; nothing is downloaded. That takes about eight
minutes of processor time, so it is no part of `.ci/run`: run it when a pin changes. Exit code 1 where one is missing.

torch is special: its wheels on PyPI bring NVIDIA's libraries on Linux. The CPU build (README.md) has none, so they are
neither pinned nor asked for here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = 28  # 2.28, of Debian 10 and RHEL 8


def manylinux(machine: str) -> tuple[str, ...]:
    """Wheel tags of a Linux with glibc 2.28, all older ones included: pip does not add these itself."""
    return (*(f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC + 1)), f"manylinux2014_{machine}")


PLATFORMS = {
    "Linux x86-64": manylinux("x86_64"),
    "Linux ARM": manylinux("aarch64"),
    "macOS ARM": ("macosx_14_0_arm64",),
    "Windows": ("win_amd64",),
}


def pins(text: str) -> list[tuple[str, str]]:
    """Names and versions of a constraints file, in its order."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [(name, version) for name, _, version in (line.partition("==") for line in lines if line)]


def has_wheel(name: str, version: str, *target: str) -> bool:
    """True if pip finds a wheel of this version for the target, given as pip's own options.

    Raises: RuntimeError when pip fails otherwise, e.g. without a network.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", "--json", "--only-binary=:all:", *target, name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return version in json.loads(done.stdout)["versions"]
    if "No matching distribution found" not in done.stderr:
        raise RuntimeError(f"{name}: {done.stderr.strip()}")
    return False


def missing(pin: tuple[str, str]) -> dict[str, list[str]]:
    """Platform → the Pythons for which this pin has no wheel."""
    found: dict[str, list[str]] = {platform: [] for platform in PLATFORMS}
    for python in PYTHONS:
        version = ("--python-version", python)
        if has_wheel(*pin, *version, "--platform=any", "--implementation=py", "--abi=none"):
            continue  # a wheel without compiled code serves every platform
        for platform, tags in PLATFORMS.items():
            target = (*version, "--implementation=cp", *(f"--platform={tag}" for tag in tags))
            if not has_wheel(*pin, *target):
                found[platform].append(python)
    return found


def rows(wanted: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """A row per pin that lacks a wheel somewhere: the pin, then per platform the Pythons without one."""
    with ThreadPoolExecutor(4) as pool:
        for (name, version), found in zip(wanted, pool.map(missing, wanted), strict=True):
            if any(found.values()):
                yield (f"{name}=={version}", *(" ".join(found[platform]) or "–" for platform in PLATFORMS))


def main() -> int:
    """Print the table; 1 if it has a row."""
    wanted = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    table = list(rows(wanted))
    for row in [("no wheel for", *PLATFORMS), *table] if table else []:
        print("".join(f"{cell:<28}" for cell in row).rstrip())
    print(f"{len(wanted)} pins, {len(PLATFORMS)} platforms, Python {' '.join(PYTHONS)}: {len(table)} pins lack a wheel")
    return int(bool(table))


if __name__ == "__main__":
    sys.exit(main())
