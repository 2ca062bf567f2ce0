"""Artifacts on disk: a folder whose manifest is written last, and whether it is done, stale or missing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tmkd.errors import TmkdError, first_line

MANIFEST = "manifest.json"
VERSIONED = ("tmkd", "torch", "transformers", "tokenizers")
WORK = ".work"  # a step's own scratch folder (checkpoints, parts): never digested, removed when the step is done


def digest_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_path(path: Path) -> str:
    """SHA-256 of a file's content, or of the names and contents of all files below a folder."""
    if path.is_file():
        return digest_file(path)
    files = {}
    for one in sorted(path.rglob("*")):
        if one.is_file():
            name = os.fsencode(one.relative_to(path)).decode("utf-8", "replace")
            try:
                files[name] = digest_file(one)
            except OSError:  # its reader raises, or counts it and goes on
                files[name] = "unreadable"
    return digest_json(files)


def digest_json(value: object) -> str:
    """SHA-256 of a value's canonical JSON (sorted keys, no spaces), 64 hexadecimal digits."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def json_bytes(value: object) -> bytes:
    """JSON file of a value, UTF-8: one space of indentation, a line feed at the end."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part; of several writers one waits."""
    part = path.with_name(f".{path.name}.part")
    try:
        with _opened_alone(part) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TmkdError(f"{path}: cannot be written: {error.strerror}") from error


def by_number(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order of the numbers in their names, which have five digits or more."""
    return sorted(paths, key=lambda path: (len(path.name), path.name))


def _opened_alone(part: Path) -> BinaryIO:
    """Open an empty file that no other process writes; one that does is waited for."""
    while True:
        file = part.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):  # else the other has given it its name
                file.truncate(0)
                return file
        file.close()


@dataclass(frozen=True)
class Manifest:
    """Manifest of an artifact: the step, digests of its inputs, the slice of the recipe, its files, and facts it found.

    `inputs` maps an input's name to its digest, `files` a relative path to its SHA-256; `seconds` is wall time.
    `versions` are those of tmkd and the libraries that it was made with: recorded, never compared.
    """

    step: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    files: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The artifact's own digest: of its content and makers, not of the time it took."""
        return digest_json([self.step, self.inputs, self.settings, self.files])


@dataclass(frozen=True)
class State:
    """State of an artifact: done, stale or missing; `why` names the difference when it is stale."""

    kind: Literal["done", "stale", "missing"]
    why: str = ""
    seconds: float = 0.0


def _content(folder: Path) -> dict[str, str]:
    """The artifact's files and their digests; hidden files and folders are scratch and do not belong to it."""
    names = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): digest_file(path)
        for name, path in names.items()
        if name.as_posix() != MANIFEST and not any(part.startswith(".") for part in name.parts)
    }


def _open_to_readers(folder: Path) -> None:
    """Add the permissions of a newly written file to those of all files below a folder, the hidden ones too."""
    new = folder / ".new"
    new.touch()
    usual = stat.S_IMODE(new.stat().st_mode)
    new.unlink()
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_file() and not path.is_symlink() and mode | usual != mode:
            path.chmod(mode | usual)


def versions() -> dict[str, str]:
    """Installed versions of tmkd and the libraries on which an artifact's numbers depend, those that there are."""
    found = {}
    for name in VERSIONED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write_manifest(
    folder: Path,
    step: str,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    seconds: float,
) -> Manifest:
    """Seal an artifact: digest its files and write `manifest.json`, last and atomically.

    Each file may be read by all who may read a new file of this process: some libraries leave theirs to the owner
    alone, and a server is another user.
    """
    content = _content(folder)
    _open_to_readers(folder)
    manifest = Manifest(step, dict(inputs), dict(settings), content, dict(facts), round(seconds, 1), versions())
    write_atomic(folder / MANIFEST, json_bytes(asdict(manifest)))
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a sealed artifact, or None where there is none.

    Raises: TmkdError when the file is there but is not a manifest.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest(**json.loads(path.read_bytes()))
        _check_kinds(manifest)
        return manifest
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise TmkdError(f"{path}: not a manifest ({first_line(error)}); remove {folder} and run again") from error


def _check_kinds(manifest: Manifest) -> None:
    """Raises: TypeError when a field holds something of another kind than it is written with."""
    texts = [manifest.step]
    for name in ("inputs", "settings", "files", "facts", "versions"):
        value = getattr(manifest, name)
        if not isinstance(value, dict):
            raise TypeError(f"{name} is no object")
        texts += value.values() if name in ("inputs", "files", "versions") else ()
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name, a digest or a version is no text")
    if isinstance(manifest.seconds, bool) or not isinstance(manifest.seconds, int | float):
        raise TypeError("seconds is no number")
    if not 0 <= manifest.seconds < float("inf"):
        raise ValueError(f"seconds is {manifest.seconds}")


def state(folder: Path, step: str, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> State:
    """Compare an artifact's manifest with what would make it now: done exactly when all match."""
    manifest = read_manifest(folder)
    if manifest is None:
        return State("missing")
    if manifest.step != step:
        return State("stale", f"made by step {manifest.step}")
    changed = sorted(name for name in {*inputs, *manifest.inputs} if inputs.get(name) != manifest.inputs.get(name))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return State("stale", f"input changed: {', '.join(changed[:3])}{more}", manifest.seconds)
    differing = sorted(_differences(manifest.settings, json.loads(json.dumps(settings))))
    if differing:
        return State("stale", f"recipe changed: {', '.join(differing)}", manifest.seconds)
    return State("done", seconds=manifest.seconds)


def _differences(old: object, new: object, path: str = "") -> list[str]:
    """Dotted paths at which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            found
            for key in {*old, *new}
            for found in _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [path]


def sealed(folder: Path) -> Manifest:
    """The manifest of an artifact that must be finished.  Raises: TmkdError when it is not."""
    if (manifest := read_manifest(folder)) is None:
        raise TmkdError(f"{folder}: not finished (no {MANIFEST}); run the step that makes it again")
    return manifest


def count_of(folder: Path, manifest: Manifest, fact: str) -> int:
    """Count among the facts of an artifact, 0 where its manifest has none.  Raises: TmkdError when it is no count."""
    found = manifest.facts.get(fact, 0)
    if not isinstance(found, int) or found < 0:
        raise TmkdError(f"{folder / MANIFEST}: '{fact}' is no count; remove {folder} and run again")
    return found


def verify(folder: Path) -> Manifest:
    """Check every file of a sealed artifact against its manifest before it is used.

    Raises: TmkdError naming the first file that is missing or whose bytes differ.
    """
    manifest = sealed(folder)
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise TmkdError(f"{path}: missing, though {MANIFEST} lists it; remove {folder} and run again")
        if digest_file(path) != digest:
            raise TmkdError(f"{path}: its bytes differ from {MANIFEST}; remove {folder} and run again")
    return manifest
