"""YAML text → Recipe: `use:` of shared stages, and `--set` changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tmkd.errors import UsageError, did_you_mean, first_line
from tmkd.recipe.messages import keys_at, line_of, message_of, message_of_source, short
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import Recipe

_MAX_BYTES = 1 << 20


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read one recipe file and apply `--set` changes such as `rows.tmkd.stages.1.alpha=0.3`.

    A stage may say `use: NAME` to start from the entry NAME of the recipe's `stages`; NAME alone means the same.
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
    node, raw = _parsed(data, path)
    if node is None or not isinstance(raw, dict):
        raise UsageError(f"{path}: not a recipe: expected keys such as name, tasks, teachers at the top")
    _check_keys(node, path, set())
    for change in changes:
        raw = _with_change(raw, change)
    try:
        return Recipe.model_validate(_with_used_stages(raw, path, node))
    except ValidationError as error:
        raise UsageError(message_of(error, path, node, changes)) from error


def read_source_spec(option: str, text: str) -> SourceSpec:
    """Read an option that names a file of rows: its name, or a source as recipes have it, `{file: …, columns: {…}}`.

    Raises: UsageError naming the option, the key and the near miss.
    """
    try:
        value = yaml.safe_load(text) if text.lstrip().startswith("{") else text
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UsageError(f"{option} {text}: begins with {{ but is not YAML, such as {{file: new.tsv}}") from None
    try:
        return SourceSpec.model_validate(value)
    except ValidationError as error:
        raise UsageError(f"{option}: {message_of_source(error)}") from error


def _parsed(data: bytes, path: Path) -> tuple[yaml.Node | None, Any]:
    """The text as a tree that knows its lines, and as plain values."""
    try:
        text = data.decode()
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not YAML: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(
            f"{path}{line}: not YAML: {', '.join(filter(None, (error.context, error.problem)))}"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not YAML: {first_line(error)}") from error


def _check_keys(node: yaml.Node, path: Path, seen: set[int]) -> None:
    """Refuse what YAML takes without a word: a bare `on` or `1` as a key (no text), and the same key twice."""
    if id(node) in seen:
        return
    seen.add(id(node))
    lines: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        kind = key.tag.rpartition(":")[2]
        if kind not in ("str", "merge"):
            raise UsageError(f"{path}:{line}: YAML reads the key {key.value} as {kind}, not as text; put it in quotes")
        if key.value in lines:
            raise UsageError(f"{path}:{line}: '{key.value}' was given in line {lines[key.value]} already; keep one")
        lines[key.value] = line
        _check_keys(value, path, seen)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        _check_keys(item, path, seen)


def _with_change(raw: dict[str, Any], change: str) -> dict[str, Any]:
    """Apply one `path.to.key=value`; the value is read as YAML."""
    dotted, sign, text = change.partition("=")
    keys = dotted.split(".")
    if not sign or not all(keys):
        raise UsageError(f"--set {change}: write it as path.to.key=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"--set {change}: the value is not YAML") from error
    return _replaced(raw, keys, 0, value, change)


def _replaced(place: Any, keys: Sequence[str], depth: int, value: Any, change: str) -> Any:
    """A copy with one value replaced; what YAML anchors share is left alone in the other places."""
    if depth == len(keys):
        return value
    key, above = keys[depth], keys[:depth]
    if isinstance(place, str) and above[:1] == ["rows"] and above[2:3] == ["stages"]:
        place = {"use": place}
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        copy = list(place)
        copy[int(key)] = _replaced(place[int(key)], keys, depth + 1, value, change)
        return copy
    if not isinstance(place, dict):
        found = f"has items 0 to {len(place) - 1}" if isinstance(place, list) and place else f"is {short(place)}"
        raise UsageError(f"--set {change}: there is no '{key}' in {'.'.join(above)}, which {found}")
    if key not in place and depth + 1 < len(keys) and key not in keys_at(above):
        hint = did_you_mean(key, [*place, *keys_at(above)])
        raise UsageError(f"--set {change}: the recipe has no '{'.'.join(keys[: depth + 1])}'; {hint}")
    inner = place.get(key)
    return {**place, key: _replaced({} if inner is None else inner, keys, depth + 1, value, change)}


def _with_used_stages(raw: Mapping[str, Any], path: Path, node: yaml.Node) -> dict[str, Any]:
    """Replace every `use: NAME` by the shared stage, the row's own keys winning.

    `fit` is merged key by key, and so is what `fit_on` has for a task.
    """
    shared = raw.get("stages") or {}
    if not isinstance(shared, dict) or not all(isinstance(stage, dict) for stage in shared.values()):
        raise UsageError(f"{path}:{line_of(node, ['stages'])}: stages: give names, and below each the keys of a stage")
    recipe = {key: value for key, value in raw.items() if key != "stages"}
    if not isinstance(recipe.get("rows"), dict):
        return recipe
    rows = {}
    for name, row in recipe["rows"].items():
        row = dict(row) if isinstance(row, dict) else row
        if isinstance(row, dict) and isinstance(row.get("stages"), list):
            row["stages"] = [
                _used(stage, shared, f"{path}:{line_of(node, ['rows', name, 'stages', place])}: rows.{name}")
                for place, stage in enumerate(row["stages"])
            ]
        rows[name] = row
    return {**recipe, "rows": rows}


def _used(stage: Any, shared: Mapping[str, Any], where: str) -> Any:
    if isinstance(stage, str):
        stage = {"use": stage}
    if not isinstance(stage, dict) or "use" not in stage:
        return stage
    name = stage["use"]
    if not isinstance(name, str) or name not in shared:
        raise UsageError(f"{where}: no stage {short(name)} under stages; {did_you_mean(str(name), shared)}")
    own = {key: value for key, value in stage.items() if key != "use"}
    theirs, merged = shared[name], {**shared[name], **own}
    if "fit" in theirs and "fit" in own:
        merged["fit"] = _over(theirs["fit"], own["fit"])
    if isinstance(theirs.get("fit_on"), dict) and isinstance(own.get("fit_on"), dict):
        fits = {task: _over(theirs["fit_on"].get(task), fit) for task, fit in own["fit_on"].items()}
        merged["fit_on"] = {**theirs["fit_on"], **fits}
    return merged


def _over(shared: Any, own: Any) -> Any:
    """The row's own fit with what it leaves out from the shared one; its own alone where one is no mapping."""
    return {**shared, **own} if isinstance(shared, dict) and isinstance(own, dict) else own
