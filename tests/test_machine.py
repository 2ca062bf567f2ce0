"""Cores within affinity and control groups, instruction sets, and the line that describes the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tmkd import machine

XEON = "processor : 0\nmodel name : X\nflags : fpu avx2 avx512f avx512_vnni\n\nprocessor : 1\nflags : fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


@pytest.mark.parametrize(
    ("cpuinfo", "flags"),
    [
        (XEON, {"fpu", "avx2", "avx512f", "avx512_vnni"}),
        (ARM, {"fp", "asimd", "asimddp"}),
        ("no such line", set()),
        ("flagship model: x y\n", set()),
    ],
)
def test_instruction_sets_are_those_of_the_first_processor(cpuinfo: str, flags: set[str], tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.processor_flags(tmp_path / "cpuinfo") == flags


def test_no_cpuinfo_means_no_known_instruction_sets(tmp_path: Path) -> None:
    assert machine.processor_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(
    ("files", "group", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", 2.0),
        ({"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "300000 100000\n"}, "0::/a/b\n", 0.5),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu:/x\n", 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu:/x\n", None),
        ({"cpu.max": "100 0\n"}, "0::/\n", None),
        ({}, "", None),
    ],
)
def test_the_tightest_control_group_limits_the_cores(
    files: dict[str, str], group: str, limit: float | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "own").write_text(group)
    assert machine.cgroup_limit(tmp_path / "cgroup", tmp_path / "own") == limit


@pytest.mark.parametrize(("limit", "expected"), [(None, 8), (1.5, 2), (0.2, 1), (64.0, 8)])
def test_cores_are_at_most_the_affinity_and_at_least_one(
    limit: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "cgroup_limit", lambda cgroups, own: limit)
    assert machine.cores() == expected


def test_the_machine_line_names_processor_and_cores() -> None:
    assert f", {machine.cores()} cores" in machine.machine_line()
    assert "\n" not in machine.machine_line()


def test_threads_are_torchs_where_it_is_loaded() -> None:
    import torch

    assert machine.threads() == torch.get_num_threads()


@pytest.mark.parametrize(("share", "expected"), [("1", 1), ("0", 1), ("3", 3), ("100", 4), ("", 4), ("two", 4)])
def test_a_process_uses_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch, share: str, expected: int) -> None:
    monkeypatch.setattr(machine, "_available_cores", lambda: 4)
    monkeypatch.setenv(machine.SHARE, share)
    assert machine.cores() == expected


@pytest.mark.parametrize(("parts", "each"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_the_cores_are_divided_and_each_part_has_one_at_least(
    monkeypatch: pytest.MonkeyPatch, parts: int, each: int
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    assert machine.share_of_cores(parts) == each


@pytest.mark.parametrize(("given", "threads"), [("", "2"), ("1", "1"), ("8", "2"), ("0", "2"), ("two", "2")])
def test_a_process_that_is_begun_has_no_more_threads_than_cores(
    monkeypatch: pytest.MonkeyPatch, given: str, threads: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.delenv(machine.SHARE, raising=False)
    with machine.having(2):
        assert (os.environ[machine.SHARE], os.environ["OMP_NUM_THREADS"]) == ("2", threads)
    assert machine.SHARE not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == given


@pytest.mark.parametrize(
    ("named", "count", "devices"),
    [("", 2, ["0", "1"]), ("4,7", 2, ["4", "7"]), ("GPU-a,GPU-b", 1, ["GPU-a"]), ("", 0, [])],
)
def test_cuda_devices_are_named_as_the_environment_names_them(
    monkeypatch: pytest.MonkeyPatch, named: str, count: int, devices: list[str]
) -> None:
    import torch

    monkeypatch.setenv(machine.CUDA_DEVICES, named)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert machine.cuda_devices() == devices
