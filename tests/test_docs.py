"""The documents say what is there: the command line, links, names of functions and tests, keys, recipes."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tmkd.data.pairs import EXTRAS, SCHEMA
from tmkd.evaluate.speed import Speed
from tmkd.recipe.reader import read_recipe
from tmkd.report.report_json import ROW_KEYS, DataSet, Report
from tmkd.store import Manifest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
RECIPES = sorted(ROOT.glob("recipes/*.yaml"))


@pytest.fixture
def make_cli() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_command_line_is_current(make_cli: ModuleType) -> None:
    assert make_cli.PAGE.read_text(encoding="utf-8") == make_cli.page(), "run: make docs"


def test_a_stale_page_of_the_command_line_is_told(
    make_cli: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_cli, "PAGE", tmp_path / "cli.md")
    monkeypatch.setattr("sys.argv", ["make_cli.py"])
    make_cli.main()
    monkeypatch.setattr("sys.argv", ["make_cli.py", "--check"])
    make_cli.main()
    make_cli.PAGE.write_text("old", encoding="utf-8")
    with pytest.raises(SystemExit, match="is stale; run: make docs"):
        make_cli.main()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_and_tests_named_in_the_documents_exist(page: Path) -> None:
    for file, name in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        path = ROOT / file if file.startswith("tests/") else ROOT / "src" / "tmkd" / file
        code = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert re.search(rf"^\s*(def|class) {name}\b", code, re.MULTILINE), f"{page.name}: {file}::{name}"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_is_accepted(recipe: Path) -> None:
    assert read_recipe(recipe).name == recipe.stem
    assert read_recipe(recipe).without_extras().rows


def test_the_readmes_recipe_and_teachers_are_accepted(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    recipe, *changes = map(yaml.safe_load, blocks)
    assert changes
    for number, change in enumerate([{}, *changes]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(recipe | change))
        assert read_recipe(path).teachers.keys() == (recipe | change)["teachers"].keys()


def test_every_key_on_disk_is_in_the_page_on_data() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    keys = {*ROW_KEYS, *SCHEMA.names, *EXTRAS.names, "rows", "details"} | {
        field.name for kind in (Manifest, Report, DataSet, Speed) for field in fields(kind)
    }
    assert {key for key in keys - {"results"} if not re.search(rf"\b{key}\b", page)} == set()
