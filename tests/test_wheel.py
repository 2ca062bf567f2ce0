"""The wheel that users install: its files, and the commands in fresh environments. pip needs a package index here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from tmkd.bundle.format import GRAPHS, read_bundle
from tmkd.store import MANIFEST, write_manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILES = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("tmkd/**/*.py")}


def run(*words: object, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in an environment that knows nothing of this checkout."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, words)), input=stdin, env={**inherited, **variables}, capture_output=True, text=True, timeout=900
    )


def succeeded(*words: object, stdin: str = "", **variables: str) -> str:
    done = run(*words, stdin=stdin, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, **variables: str) -> Path:
    """A wheel built from a copy of the sources: what an earlier build left in the checkout cannot get into it."""
    copy = folder / "source"
    shutil.copytree(SOURCE, copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    words = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, copy)
    succeeded(*words, **variables)
    (wheel,) = folder.glob("tmkd-*.whl")
    return wheel


def contents(wheel: Path) -> set[str]:
    """The wheel's files but for its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def top_level(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("top_level.txt"))
        return archive.read(name).decode().split()


def install(folder: Path, wheel: Path, extra: str = "") -> Path:
    """A fresh environment with the wheel and what it needs; its folder of programs."""
    succeeded(sys.executable, "-m", "venv", folder)
    programs = folder / "bin"
    succeeded(programs / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}{extra}")
    return programs


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def serving(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("serving") / "env", wheel, "[serve]")


def test_the_wheel_has_the_modules_the_templates_the_page_and_nothing_else(wheel: Path) -> None:
    compiled = {name for name in contents(wheel) if Path(name).name.startswith("_kernel.")}
    templates = {f"tmkd/report/templates/{path.name}" for path in (SOURCE / "tmkd/report/templates").iterdir()}
    assert "tmkd/report/templates/style.css" in templates
    page = {f"tmkd/serve/page/{path.name}" for path in (SOURCE / "tmkd/serve/page").iterdir()}
    assert "tmkd/serve/page/index.html" in page
    assert contents(wheel) - compiled == FILES | templates | page | {"tmkd/py.typed", "tmkd/recipe/template.yaml"}
    assert top_level(wheel) == ["tmkd"]
    assert len(compiled) <= 1


def test_without_extras_the_commands_work_and_serving_names_its_extra(
    wheel: Path, made: tuple[Path, Path], tmp_path: Path
) -> None:
    tmkd = install(tmp_path / "env", wheel) / "tmkd"
    assert "distil" in succeeded(tmkd, "--help").lower()
    succeeded(tmkd, "init", tmp_path / "my.yaml")
    assert (tmp_path / "my.yaml").read_bytes() == (SOURCE / "tmkd/recipe/template.yaml").read_bytes()
    # A bundle without an int8 graph is one for onnxruntime wherever this runs.
    bundle = tmp_path / "bundle"
    shutil.copytree(made[1], bundle)
    for name in (GRAPHS["int8"], MANIFEST):
        (bundle / name).unlink()
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    replace(read_bundle(bundle), precisions=("fp32",), engines=()).write(bundle)
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    for words in (("rank", bundle, "--question", "what is the moon"), ("bench", bundle)):
        refused = run(tmkd, *words, stdin="the moon is a rock\n")
        assert refused.returncode == 1
        assert "pip install 'tmkd[serve]'" in refused.stderr


def ranked(tmkd: Path, bundle: Path) -> list[str]:
    passages = "\n".join(tiny.passage(3, good) for good in (True, False))
    return succeeded(tmkd, "rank", bundle, "--question", tiny.question(3), stdin=passages).splitlines()


def test_with_the_extra_for_serving_a_bundle_is_ranked_with_and_timed(serving: Path, made: tuple[Path, Path]) -> None:
    assert len(ranked(serving / "tmkd", made[1])) == 2
    words = ("--batch", 1, "--length", 32, "--threads", 1, "--calls", 3, "--json")
    assert '"onnxruntime"' in succeeded(serving / "tmkd", "bench", made[1], *words)
    code = "import sys, tmkd.bundle; from importlib.util import find_spec; print(find_spec('torch'), tmkd.__file__)"
    assert succeeded(serving / "python", "-c", code).startswith(f"None {serving.parent}")


def test_without_a_working_compiler_the_wheel_installs_and_onnxruntime_serves(
    serving: Path, made: tuple[Path, Path], tmp_path: Path
) -> None:
    plain = build(tmp_path, CC="false")
    assert not [name for name in contents(plain) if "_kernel." in name]
    environment = tmp_path / "env"
    shutil.copytree(serving.parent, environment, symlinks=True)
    python = environment / "bin" / "python"
    succeeded(python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", plain)
    call = f"from tmkd.bundle import Ranker; print(Ranker({str(made[1])!r}, 'int8').engine)"
    assert succeeded(python, "-c", call).strip() == "onnxruntime"
