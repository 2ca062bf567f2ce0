"""Write docs/recipe.md from the recipe's types and every_field.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from tmkd.recipe.engine import EngineSpec
from tmkd.recipe.fit import FitSpec
from tmkd.recipe.parts import (
    EvaluateSpec,
    HubSpec,
    PretrainedSpec,
    PriorSpec,
    Sources,
    SourceSpec,
    Spec,
    StudentSpec,
    TextsSpec,
    VotesSpec,
    Words,
)
from tmkd.recipe.rows import ChooseSpec, RowSpec, RowStudentSpec, StageSpec
from tmkd.recipe.schema import CollectSpec, Recipe, TaskSpec, TeacherSpec
from tmkd.recipe.seeds import SeedsSpec
from tmkd.recipe.serving import ExportSpec, PrecisionSpec, ServeSpec

PAGE = Path(__file__).with_name("recipe.md")
EXAMPLE = Path(__file__).with_name("every_field.yaml")

HEAD = """\
<!-- Made by docs/make_recipe.py from src/tmkd/recipe/ and every_field.yaml: change it there, then run `make docs`. -->
# The recipe

A recipe is one YAML file that says what a run makes. `tmkd init FILE` writes a commented one to begin with; `tmkd check
FILE` says what is wrong in it, with its line, and estimates the work. This page has every field. The examples are parts
of [every_field.yaml](every_field.yaml), in which each field occurs.

- A field whose default is empty may be left out.
- File names are relative to `data`, folders of pretrained models to the recipe.
- A name has letters, digits, `-` and `_`, at most 64 of them.
- YAML reads `1e-4` as text and a bare `no` as false: write `1.0e-4` and `"no"`.
- `--set rows.tmkd.stages.1.alpha=0.3` changes one value for one call.
- A change makes stale what depends on it, and nothing else; `tmkd show FILE` says what and why.
- A training with golden labels measures dev after each epoch and keeps the best one's weights; stage 1 keeps the last.
"""

# Each section: its heading, its type, the keys of the example that belong to it.
SECTIONS: tuple[tuple[str, type[Spec], tuple[str, ...]], ...] = (
    ("Top level", Recipe, ("name", "data", "device", "precision", "fragments")),
    ("seeds", SeedsSpec, ("seeds",)),
    ("engine", EngineSpec, ("engine",)),
    ("pretrained", PretrainedSpec, ("pretrained",)),
    ("tasks", TaskSpec, ("tasks",)),
    ("collect", CollectSpec, ("collect",)),
    ("teachers", TeacherSpec, ("teachers",)),
    ("student", StudentSpec, ("student",)),
    ("rows", RowSpec, ("rows",)),
    ("rows: student", RowStudentSpec, ()),
    ("rows: stages", StageSpec, ("stages",)),
    ("rows: choose", ChooseSpec, ()),
    ("fit", FitSpec, ()),
    ("file", SourceSpec, ()),
    ("file: hub", HubSpec, ()),
    ("file: threshold", PriorSpec, ()),
    ("file: votes", VotesSpec, ()),
    ("file: texts", TextsSpec, ()),
    ("evaluate", EvaluateSpec, ("evaluate",)),
    ("export", ExportSpec, ("export",)),
    ("serve", ServeSpec, ("serve",)),
    ("serve: threshold", PrecisionSpec, ()),
)
_LINKS = {kind: f"[{title}](#{title.replace(': ', '-')})" for title, kind, _ in SECTIONS}
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
_SEVERAL = {Sources: f"{_LINKS[SourceSpec]}, or a list of them", Words: "text, or a list of texts"}


def page() -> str:
    """The whole page: a section per type, in the order of SECTIONS."""
    return "\n".join([HEAD, *(_section(title, kind, keys) for title, kind, keys in SECTIONS)])


def _section(title: str, kind: type[Spec], keys: tuple[str, ...]) -> str:
    """A type's section: its meaning, a row per field, its piece of the example."""
    hints = get_type_hints(kind, include_extras=True)
    rows = [
        f"| `{name}` | {_linked(_in_one_line(field))} | {takes(hints[name], field)} | {_default(field)} |"
        for name, field in kind.model_fields.items()
    ]
    table = ["| field | meaning | takes | default |", "|---|---|---|---|", *rows, ""]
    example = "".join(map(_piece, keys)).rstrip()
    return "\n".join(
        [f"## {title}", "", kind.__doc__ or "", "", *table, *([f"```yaml\n{example}\n```", ""] if keys else [])]
    )


def takes(hint: Any, field: FieldInfo | None = None) -> str:
    """What may be written for a type, such as `whole number ≥ 1`, a choice of words, or a link to a section."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _SEVERAL:
        return _SEVERAL[hint]
    if hint in _LINKS:
        return _LINKS[hint]
    if origin is Annotated:
        return takes(inner[0], inner[1])
    if origin in (Union, UnionType):
        return " or ".join(takes(one, field) for one in inner if one is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin is dict:
        return f"name → {takes(inner[1])}"
    if origin is tuple:
        return f"list: {takes(inner[0])}"
    return f"{_PLAIN[hint]} {', '.join(map(_bound, field.metadata if field else ()))}".strip()


def _bound(limit: object) -> str:
    match limit:
        case Ge(ge=number):
            return f"≥ {number}"
        case Gt(gt=number):
            return f"> {number}"
        case Le(le=number):
            return f"≤ {number}"
        case Lt(lt=number):
            return "< 2³²" if number == 2**32 else f"< {number}"
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == {} or value == () or isinstance(value, Spec):
        return ""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()
    return f"`{'1.0e-4' if value == 1e-4 else text}`"


def _in_one_line(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _linked(text: str) -> str:
    """A text with its pages in docs/ as links."""
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)


def _piece(key: str) -> str:
    """The lines of a top-level key of the example."""
    found = re.search(rf"^{key}:.*?(?=^\S|\Z)", EXAMPLE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{EXAMPLE.name} has no {key}"
    return found[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
