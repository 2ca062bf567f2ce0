"""Error messages on a recipe, in one line: file, line, key, near miss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tmkd.errors import did_you_mean
from tmkd.recipe.parts import NAME, SourceSpec, Spec
from tmkd.recipe.schema import Recipe

# What to write, where pydantic only says which Python type it would have liked.
_WANTED = {
    "model_type": "give keys and values below it",
    "dict_type": "give keys and values below it",
    "tuple_type": "give a list, such as [a, b]",
    "string_type": "give text",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "int_type": "give a whole number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "bool_parsing": "give true or false",
    "literal_error": "give {expected}",
    "too_short": "give at least {min_length}",
    "greater_than": "give more than {gt:g}",
    "greater_than_equal": "give at least {ge:g}",
    "less_than": "give less than {lt:g}",
    "less_than_equal": "give at most {le:g}",
}

_BRANCHES = {
    "literal",
    "tuple",
    "bool",
    "float",
    "constrained-float",
    *(kind.__name__ for kind in Spec.__subclasses__()),
}


def message_of(error: ValidationError, path: Path, node: yaml.Node, changes: Iterable[str]) -> str:
    """Message on the most telling problem of a recipe: an unknown key if there is one, else the first."""
    problems = [([part for part in one["loc"] if not _is_branch(part)], one) for one in error.errors()]
    location, problem = next((one for one in problems if one[1]["type"] == "extra_forbidden"), problems[0])
    # Of a value that may be a word or a list, the reading that came furthest knows best what is wrong.
    fellows = [one for one in problems if one[0][: len(location)] == location]
    location, problem = max(fellows, key=lambda one: len(one[0]))
    message = problem["msg"].removeprefix("Value error, ")
    if not location:
        dotted, _, message = message.partition(": ")
        location = list(dotted.split("."))
    touching = [change for change in changes if _sets(change, location)]
    place = location if touching else _own_or_shared(node, location)
    key = ".".join(map(str, place))
    where = f"{path}:{line_of(node, place)}" + "".join(f", with --set {change}" for change in touching)
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key '{key}'; {did_you_mean(str(place[-1]), keys_at(place[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: '{key}' is missing"
    if problem["type"] == "value_error":
        return f"{where}: {key}: {message}"
    if problem["input"] is None:
        return f"{where}: {key} is empty; fill it in, or remove the line"
    wanted = " or ".join(dict.fromkeys(_wanted(one) for other, one in fellows if other == location))
    return f"{where}: {key}: {wanted}; {_found(problem['input'], problem['type'])}"


def message_of_source(error: ValidationError) -> str:
    """Message on a source that stands alone, in an option: an unknown key if there is one, else the first problem."""
    problems = error.errors()
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    key = ".".join(str(part) for part in problem["loc"] if not _is_branch(part))
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {did_you_mean(key, SourceSpec.model_fields)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    if problem["type"] == "value_error":
        return ": ".join(filter(None, (key, problem["msg"].removeprefix("Value error, "))))
    return f"{key}: {_wanted(problem)}; {_found(problem['input'], problem['type'])}"


def short(value: object) -> str:
    """A value as YAML has it, cut to fit into a line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
    text = f"'{value}'" if isinstance(value, str) else text
    return text if len(text) <= 40 else f"{text[:37]}..."


def line_of(node: yaml.Node, location: Sequence[Any]) -> int:
    """The line of the deepest key of `location` that the file has."""
    return _deepest(node, location)[0]


def keys_at(location: Sequence[Any]) -> list[str]:
    """The keys that a recipe may have at some place; none where the user chooses them."""
    if not location:
        return [*Recipe.model_fields, "stages"]
    if location[0] == "stages":
        location = ["rows", "any", "stages", 0, *location[2:]] if len(location) > 1 else ["rows"]
    kind: Any = Recipe
    for part in location:
        if _is_part(kind):
            field = kind.model_fields.get(str(part))
            kind = None if field is None else _bare(field.annotation)
        elif get_origin(kind) in (dict, tuple):
            kind = _bare(get_args(kind)[1 if get_origin(kind) is dict else 0])
    return list(kind.model_fields) if _is_part(kind) else []


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> Any:
    """A type without its Annotated and its `| None`; of several branches the one that holds more."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return _bare(next(branch for branch in reversed(get_args(kind)) if branch is not NoneType))
    return kind


def _deepest(node: yaml.Node, location: Sequence[Any]) -> tuple[int, int, yaml.Node]:
    """Line, depth and value of the deepest key of `location` that the file has."""
    line = 1
    for depth, part in enumerate(location):
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            return line, depth, node
        line, node = found[0].start_mark.line + 1, found[1]
    return line, len(location), node


def _own_or_shared(node: yaml.Node, location: list[Any]) -> list[Any]:
    """Location of a key in the file; a key that a row's stage has from a shared stage is located there."""
    if location[:1] != ["rows"] or len(location) < 5 or _deepest(node, location)[1] == len(location):
        return location
    _, _, stage = _deepest(node, location[:4])
    if isinstance(stage, yaml.MappingNode):
        stage = next((value for key, value in stage.value if key.value == "use"), stage)
    elsewhere = ["stages", stage.value, *location[4:]]
    return elsewhere if _deepest(node, elsewhere)[1] == len(elsewhere) else location


def _is_branch(part: object) -> bool:
    """Pydantic names the branch of a union or a wrapper it tried; that is no key of the recipe."""
    return isinstance(part, str) and ("[" in part or part in _BRANCHES or part.startswith("function-"))


def _sets(change: str, location: Sequence[Any]) -> bool:
    """True when a `--set` changes a place, something in it, or something it lies in."""
    keys = change.partition("=")[0].split(".")
    return all(key == str(part) for key, part in zip(keys, location, strict=False))


def _wanted(problem: Any) -> str:
    """Type that the recipe expects at this place."""
    if problem["type"] == "string_pattern_mismatch":
        is_name = problem["ctx"]["pattern"] == NAME
        return "a name has letters, digits, - and _ only" if is_name else "give 64 hexadecimal digits (SHA-256)"
    return _WANTED.get(problem["type"], problem["msg"]).format(**problem.get("ctx", {}))


def _found(value: object, kind: str) -> str:
    """Value found there; YAML reads a bare no, 1 or 2024-01-01 as something else than text."""
    if kind == "string_type" and isinstance(value, bool | int | float | date):
        return f"YAML reads this as {short(value)}, not as text, so put it in quotes"
    return f"this is {short(value)}"
