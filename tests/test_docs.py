"""The documents say what is there: the command line, links, names of functions and tests, keys, recipes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import numpy as np
import pytest
import yaml

from tmkd.collect.overlaps import Overlap
from tmkd.data.pairs import EXTRAS, GRADE, SCHEMA
from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.evaluate.speed import Speed
from tmkd.recipe.parts import Spec
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe
from tmkd.report.report_json import ROW_KEYS, DataSet, Report
from tmkd.store import Manifest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
HOW_TOS = sorted(ROOT.glob("docs/howto/*.md"))
FIRST_HOW_TO = ROOT / "docs" / "howto" / "distil-my-reranker.md"  # has the recipe that the others change
RECIPES = sorted(ROOT.glob("recipes/*.yaml"))


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["make_cli", "make_recipe"])
def test_a_page_made_from_the_code_is_current(name: str) -> None:
    made = script(name)
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run: make docs"


def test_the_page_of_the_recipe_has_every_type_and_describes_every_field() -> None:
    shown = {kind for _, kind, _ in script("make_recipe").SECTIONS}
    assert shown == {*Spec.__subclasses__()}
    bare = [
        f"{kind.__name__}.{name}" for kind in shown for name, one in kind.model_fields.items() if not one.description
    ]
    assert bare == []


def test_every_field_of_a_recipe_occurs_in_the_example() -> None:
    given: dict[type[Spec], set[str]] = {kind: set() for kind in Spec.__subclasses__()}

    def visit(value: object) -> None:
        if isinstance(value, Spec):
            given[type(value)] |= value.model_fields_set
            visit([getattr(value, name) for name in value.model_fields_set])
        elif isinstance(value, Mapping | tuple | list):
            for one in value.values() if isinstance(value, Mapping) else value:
                visit(one)

    visit(read_recipe(ROOT / "docs" / "every_field.yaml"))
    missing = {kind.__name__: kind.model_fields.keys() - names for kind, names in given.items()}
    assert {kind: names for kind, names in missing.items() if names} == {}


@pytest.mark.parametrize(
    ("field", "takes"),
    [
        ("seeds", "[seeds](#seeds)"),
        ("device", "`auto`, `cpu`, `cuda`"),
        ("tasks", "name → [tasks](#tasks)"),
        ("export", "[export](#export)"),
    ],
)
def test_what_a_field_takes_is_read_from_its_type(field: str, takes: str) -> None:
    hints = get_type_hints(Recipe, include_extras=True)
    assert script("make_recipe").takes(hints[field], Recipe.model_fields[field]) == takes


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commits_named_in_the_documents_exist(page: Path) -> None:
    whole = (ROOT / ".git").exists() and git("rev-parse", "--is-shallow-repository") == "false"
    if not whole or git("rev-list", "--count", "HEAD") == "1":
        pytest.skip("the history of commits is not here")
    named = set(re.findall(r"\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8}\b", page.read_text(encoding="utf-8")))
    assert {name for name in named if git("cat-file", "-t", name) != "commit"} == set()


def git(*arguments: str) -> str:
    """Output of a git command in the project's folder, without its last newline; empty where it fails."""
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_is_accepted(recipe: Path) -> None:
    assert read_recipe(recipe).name == recipe.stem
    assert read_recipe(recipe).without_extras().rows


@pytest.mark.parametrize("name", ["demo", "webqa"])
def test_a_recipe_has_every_student_row_of_the_papers_tables(name: str) -> None:
    rows = read_recipe(ROOT / "recipes" / f"{name}.yaml").rows
    assert {"bert-3", "1-o-1", "1avg-o-1", "m-o-m", "mkd", "tkd", "tkd-avg", "tmkd"} <= rows.keys()
    assert [stage.average for stage in rows["tkd-avg"].stages] == [True, True]


def yaml_blocks(page: Path) -> list[dict[str, Any]]:
    """The YAML of a page, block by block."""
    found = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [yaml.safe_load(block) for block in found]


def merged(old: Any, new: Any) -> Any:
    """A recipe with what a block adds or changes."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: merged(old.get(key), value) for key, value in new.items()}


def test_the_readmes_recipe_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(yaml_blocks(ROOT / "README.md")[0]))
    assert read_recipe(tmp_path / "mine.yaml").name == "mine"


def test_the_readmes_recipe_is_the_template_without_its_lines_of_comment() -> None:
    (readme,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    template = (ROOT / "src" / "tmkd" / "recipe" / "template.yaml").read_text(encoding="utf-8")
    lines = [line for line in template.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert readme.splitlines() == lines


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda page: page.stem)
def test_the_recipe_of_a_how_to_is_accepted_after_each_change(page: Path, tmp_path: Path) -> None:
    recipe, *changes = yaml_blocks(FIRST_HOW_TO) + (yaml_blocks(page) if page != FIRST_HOW_TO else [])
    for change in [{}, *changes]:
        recipe = merged(recipe, change)
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
        assert read_recipe(tmp_path / "mine.yaml").rows


def test_the_readme_fits_on_a_screen_or_two() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_every_key_on_disk_is_in_the_page_on_data() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    keys = {*ROW_KEYS, *SCHEMA.names, *EXTRAS.names, GRADE.name, "rows", "details"} | {
        field.name
        for kind in (Manifest, Report, Result, Comparison, Share, Overlap, DataSet, Speed)
        for field in fields(kind)
    }
    assert {key for key in keys - {"results"} if not re.search(rf"\b{key}\b", page)} == set()


def test_the_plots_show_the_finished_rows() -> None:
    made = script("make_plots")
    drawn = made.plots()
    assert {path.stem for path in made.PLOTS.iterdir()} == drawn.keys(), "run: make plots"
    for name, text in drawn.items():
        kept = (made.PLOTS / f"{name}.svg").read_text(encoding="utf-8")
        assert re.findall(r">([^<>]+)</text>", kept) == re.findall(r">([^<>]+)</text>", text), f"{name}: make plots"
        # Not the bytes: the last digit of a place is the machine's, and the ids are made from the places.
        bare = (re.sub(r'\b(id|xlink:href|clip-path)="[^"]*"', "", one) for one in (kept, text))
        places, others = (np.array([*map(float, re.findall(r"-?\d+(?:\.\d+)?", one))]) for one in bare)
        assert places == pytest.approx(others, abs=0.01), f"{name}: make plots"


def test_every_plot_is_on_the_page_of_results() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert {*re.findall(r"!\[[^]]+\]\(plots/([^)]+)\)", page)} == {path.name for path in ROOT.glob("docs/plots/*")}


def test_the_pictures_are_small() -> None:
    pictures = [path for path in ROOT.glob("docs/**/*") if path.suffix in (".png", ".webp", ".jpg")]
    assert [path.name for path in pictures] == ["page.png"]
    assert all(path.stat().st_size < 300_000 for path in pictures)
