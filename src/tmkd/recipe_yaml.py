"""YAML text → Recipe: `use:` of shared stages, `--set` changes, and errors that name the line and the near miss."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tmkd.errors import UsageError
from tmkd.recipe import Recipe

_MAX_BYTES = 1 << 20


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read one recipe file and apply `--set` changes such as `rows.tmkd.stages.1.alpha=0.3`.

    A stage may say `use: NAME` to start from the entry NAME of the recipe's `stages`.
    Raises: UsageError naming file, line, key and the near miss.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}; name a recipe file (tmkd init writes one)"
        ) from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path}: {len(data)} bytes is too large for a recipe")
    try:
        text = data.decode()
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: not a recipe: expected keys such as name, tasks, teachers at the top")
    for change in changes:
        _change(raw, change)
    _check_names(raw, path)
    try:
        return Recipe.model_validate(_with_used_stages(raw, path))
    except ValidationError as error:
        raise UsageError(_told(error, path, node)) from error


def _change(raw: dict[str, Any], change: str) -> None:
    """Apply one `path.to.key=value`; the value is read as YAML."""
    dotted, sign, text = change.partition("=")
    if not sign or not dotted:
        raise UsageError(f"--set {change}: write it as path.to.key=value")
    *parents, last = dotted.split(".")
    place: Any = raw
    for done, key in enumerate(parents):
        if isinstance(place, dict):
            place = place.setdefault(key, {})
            if place is None:
                raise UsageError(f"--set {change}: '{'.'.join(parents[: done + 1])}' is empty in the recipe")
        else:
            place = _item(place, key, change)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {change}: the value is not YAML") from error
    if isinstance(place, dict):
        place[last] = value
    else:
        _item(place, last, change)
        place[int(last)] = value


def _item(place: Any, key: str, change: str) -> Any:
    if not isinstance(place, list) or not key.isdecimal() or int(key) >= len(place):
        raise UsageError(f"--set {change}: the recipe has nothing at '{key}'")
    return place[int(key)]


def _with_used_stages(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Replace every `use: NAME` by the shared stage, the row's own keys winning; `fit` is merged key by key."""
    shared = raw.get("stages") or {}
    recipe = {key: value for key, value in raw.items() if key != "stages"}
    if not isinstance(shared, dict) or not isinstance(recipe.get("rows"), dict):
        return recipe
    rows = {}
    for name, row in recipe["rows"].items():
        row = dict(row) if isinstance(row, dict) else row
        if isinstance(row, dict) and isinstance(row.get("stages"), list):
            row["stages"] = [_used(stage, shared, f"rows.{name}", path) for stage in row["stages"]]
        rows[name] = row
    return {**recipe, "rows": rows}


def _used(stage: Any, shared: Mapping[str, Any], where: str, path: Path) -> Any:
    if isinstance(stage, str):
        stage = {"use": stage}
    if not isinstance(stage, dict) or "use" not in stage:
        return stage
    name = stage["use"]
    if name not in shared or not isinstance(shared[name], dict):
        raise UsageError(f"{path}: {where}: no stage '{name}' under stages; there is {', '.join(shared) or 'none'}")
    own = {key: value for key, value in stage.items() if key != "use"}
    merged = {**shared[name], **own}
    if isinstance(shared[name].get("fit"), dict) and isinstance(own.get("fit"), dict):
        merged["fit"] = {**shared[name]["fit"], **own["fit"]}
    return merged


def _check_names(raw: Mapping[str, Any], path: Path) -> None:
    """YAML reads a bare `on` or `1` as something else than text: say so where a name is meant."""
    for part in ("tasks", "teachers", "rows", "collect"):
        for name in raw.get(part) or {}:
            if not isinstance(name, str):
                raise UsageError(f"{path}: {part}: YAML reads the name {name!r} as no text; put it in quotes")


def _told(error: ValidationError, path: Path, node: yaml.Node | None) -> str:
    """The first problem of a recipe in one line: file, line, key, what is wrong, what was meant."""
    problem = error.errors()[0]
    location = [part for part in problem["loc"] if not _is_branch(part)]
    key = ".".join(str(part) for part in location)
    where = f"{path}:{_line(node, location)}"
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), allowed, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(allowed)}"
        return f"{where}: unknown key '{key}'{hint}"
    if problem["type"] == "missing":
        return f"{where}: '{key}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {key or 'recipe'}: {message}"


def _is_branch(part: Any) -> bool:
    """Pydantic names the branch of a union or a wrapper it tried; that is no key of the recipe."""
    return isinstance(part, str) and ("[" in part or part in {"literal", "tuple"} or part.startswith("function-"))


def _line(node: yaml.Node | None, location: Sequence[Any]) -> int:
    """The line of the deepest key of `location` that the file has."""
    line = 1
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _fields_at(location: Sequence[Any]) -> list[str]:
    """The keys that the recipe knows at some place."""
    kind: Any = Recipe
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[str(part)].annotation
        models = _models(kind)
        kind = models[0] if models else None
    fields = sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
    return [*fields, "stages"] if kind is Recipe else fields


def _models(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for inner in get_args(kind) for model in _models(inner)]
