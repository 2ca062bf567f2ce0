"""What every module keeps to: floors, imports that stay light, no pickle, no machine's paths, a README that is true."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tmkd"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
IDS = [path.relative_to(SOURCE).as_posix() for path in MODULES]
MOST_LINES = 260

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def told_floors(page: str) -> list[list[str]]:
    """The floors that the page on the architecture lists, the ground first: names of modules and folders."""
    block = re.search(r"^```floors\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block, "docs/architecture.md has no fenced block of floors"
    return [line.split() for line in block[1].splitlines()]


FLOORS = told_floors(ARCHITECTURE)
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}
WITHOUT_TORCH = [
    name for name in HEIGHT if name not in ("network", "train", "teachers", "distill", "evaluate", "export", "__main__")
]

every_module = pytest.mark.parametrize("path", MODULES, ids=IDS)


def loaded(path: Path) -> Iterator[tuple[str, int]]:
    """What a module imports when it is itself imported, and in which line: not in functions, not for type checkers."""

    def within(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                yield from ((f"{child.module}.{alias.name}", child.lineno) for alias in child.names)
            elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                yield from within(ast.Module(child.orelse, []))
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from within(child)

    return within(TREES[path])


def piece(name: str) -> str:
    """The module or folder of the package that a dotted name lies in: tmkd.collect.guard.Guard → collect."""
    return name.split(".")[1]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- imports -------------------------------------------------------------------------------------------------------


@every_module
def test_imports_go_down_the_floors(path: Path) -> None:
    own = path.relative_to(SOURCE).with_suffix("").parts[0]
    assert own in HEIGHT, f"{own} has no floor yet: add it to docs/architecture.md"
    for name, line in loaded(path):
        if name.startswith("tmkd."):
            assert HEIGHT[piece(name)] <= HEIGHT[own], f"{path}:{line}: {own} may not import {piece(name)}"


def test_the_walk_over_imports_sees_what_it_should(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    TREES[path] = ast.parse(
        "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\n"
        "try:\n    from tmkd.d import e\nexcept E:\n    pass\n"
        "class F:\n    import g\n    def h(self):\n        import i\n"
    )
    assert list(loaded(path)) == [("a", 1), ("c", 5), ("tmkd.d.e", 7), ("g", 11)]
    del TREES[path]


def test_neither_the_package_nor_its_command_line_loads_torch() -> None:
    code = "import sys, tmkd, tmkd.cli.app; print(sorted({'torch', 'transformers'} & {*sys.modules}))"
    assert run(code).strip() == "[]"


def test_everything_below_and_beside_the_network_does_without_torch() -> None:
    names = [f"tmkd.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}" for path in MODULES]
    light = [name for name in names if piece(name) in WITHOUT_TORCH]
    assert "tmkd.flow.plan" in light
    assert "tmkd.search.index" in light
    code = f"import sys, importlib\nfor name in {light}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    assert run(code).strip() == "False"


def test_a_bundle_is_imported_with_numpy_and_tokenizers_alone() -> None:
    code = (
        "import sys; before = {*sys.modules}; import tmkd.bundle\n"
        "roots = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(sorted(roots - sys.stdlib_module_names))"
    )
    assert run(code).strip() == "['numpy', 'tmkd', 'tokenizers']"  # onnxruntime follows when a graph is opened


def test_training_and_accuracy_do_without_datasets() -> None:
    pieces = ("teachers", "distill", "train", "metrics")
    names = [f"tmkd.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}" for path in MODULES]
    code = (
        "import sys, importlib\n"
        "sys.modules['datasets'] = None  # importing it fails\n"
        f"for name in {[name for name in names if piece(name) in pieces]}: importlib.import_module(name)\n"
        "import numpy\n"
        "print(sys.modules['tmkd.metrics.quality'].accuracy(numpy.array([[.1, .9], [.2, .8]]), numpy.array([1, 0])))"
    )
    assert run(code).strip() == "0.5"


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="CPU time of a child process is told by wait4 only")
def test_help_takes_less_than_half_a_second() -> None:
    seconds = []
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-m", "tmkd", "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        seconds.append(usage.ru_utime + usage.ru_stime)
    assert statistics.median(seconds) < 0.5


# -- the code ------------------------------------------------------------------------------------------------------


@every_module
def test_nothing_is_unpickled_and_no_foreign_code_is_run(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            assert not names & {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}, where
        if isinstance(node, ast.Call):
            called, words = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert words.get("allow_pickle", "False") == words.get("trust_remote_code", "False") == "False", where
            assert called not in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"), where
            assert called != "torch.load" or words.get("weights_only") == "True", where


@every_module
def test_a_module_is_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES


@every_module
def test_public_names_have_docstrings(path: Path) -> None:
    tree = TREES[path]
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    bare = [node.name for node in public if not node.name.startswith("_") and not ast.get_docstring(node)]
    assert ast.get_docstring(tree), "the module has none"
    assert bare == []


# Modules without a test file of their own, and why.
UNTESTED = {
    "__main__.py": "every test that starts a process runs it",
    "collect/markup.py": "types only",
    "teachers/teacher.py": "protocols only",
}


def test_each_module_has_a_test_file_of_its_own() -> None:
    modules = [Path(name) for name in IDS if not name.endswith("__init__.py")]
    without = [one.as_posix() for one in modules if not (ROOT / "tests" / one.parent / f"test_{one.name}").is_file()]
    assert without == sorted(UNTESTED), "write its tests, or say in UNTESTED why it has none"


# -- what lies beside the code -------------------------------------------------------------------------------------


def told_tree(page: str) -> list[str]:
    """The paths that the page's tree of src/tmkd names, folders with a slash at the end."""
    block = re.search(r"^```\w*\nsrc/tmkd/.*?\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block, "docs/architecture.md has no fenced block that starts with src/tmkd/"
    paths: list[str] = []
    folder = ""
    for line in block[1].splitlines():
        entry = re.match(r"(│   |    )?[├└]── (\S+)", line)
        if entry:
            folder = folder if entry[1] else ""
            paths.append(folder + entry[2])
            folder = entry[2] if entry[2].endswith("/") else folder
    return paths


def test_the_tree_in_the_documents_is_the_tree_on_disk() -> None:
    told = told_tree(ARCHITECTURE)
    modules = {
        path.relative_to(SOURCE).as_posix() for path in MODULES if path.name not in ("__init__.py", "__main__.py")
    }
    folders = {f"{path.parent.relative_to(SOURCE).as_posix()}/" for path in MODULES if path.parent != SOURCE}
    assert sorted((modules | folders) - {*told}) == [], "on disk, but not in docs/architecture.md"
    assert [name for name in told if not (SOURCE / name).exists()] == [], "in docs/architecture.md, but not on disk"
    assert len(told) == len({*told})


def test_the_reading_of_a_tree() -> None:
    entries = ("├── a.py   first", "├── b/     a folder", "│   ├── c.py  x", "│   └── d.py", "└── e/", "    └── f.py")
    page = "\n".join(["```", "src/tmkd/", *entries, "other/ g", "```", ""])
    assert told_tree(page) == ["a.py", "b/", "b/c.py", "b/d.py", "e/", "e/f.py"]


def project_files() -> Iterator[Path]:
    """Every file of the project: all there is but what .gitignore leaves out."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line] + [".git"]
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(Path(name).match(pattern) for pattern in ignored)]
        yield from (Path(folder, name) for name in files if not any(Path(name).match(one) for one in ignored))


def test_no_file_names_a_path_of_some_machine() -> None:
    # A folder at the root in which people work, that is no part of an address or of a longer path.
    path = re.compile(rb"(?<![\w.:/~-])/(?:work|home|root|Users|mnt)/\w|[A-Z]:\\Users")
    files = list(project_files())
    found = {
        f"{file.relative_to(ROOT)}: {hit[0]!r}"
        for file in files
        if file.is_file() and file != Path(__file__)
        for hit in path.finditer(file.read_bytes())
    }
    assert SOURCE / "cli/app.py" in files
    assert found == set()


# -- encodings -----------------------------------------------------------------------------------------------------


def opened_without_encoding(tree: ast.AST) -> Iterator[int]:
    """Lines that open a file as text and leave its encoding to the system."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        arguments = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
        modes = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        # Class methods such as Corpus.open(folder) have arguments, none of which is a mode.
        path_open = isinstance(node.func, ast.Attribute) and called == "open" and (modes or not arguments)
        opens = path_open or (called == "open" and isinstance(node.func, ast.Name))
        if called in ("read_text", "write_text", "TextIOWrapper") or (opens and not any("b" in mode for mode in modes)):
            yield node.lineno


@every_module
def test_text_files_are_opened_with_an_encoding_by_name(path: Path) -> None:
    assert not list(opened_without_encoding(TREES[path])), path


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", True),
        ("path.write_text('a')", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open(mode='a')", True),
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("open(path, 'rb')", False),
        ("path.open('w', encoding='utf-8')", False),
        ("Corpus.open(folder)", False),
    ],
)
def test_a_file_opened_without_an_encoding_is_found(code: str, found: bool) -> None:
    assert bool(list(opened_without_encoding(ast.parse(code)))) == found
