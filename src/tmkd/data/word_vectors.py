"""Reader of word vectors: text files with a word and its numbers a line (GloVe, word2vec), or spaCy's."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from tmkd.data.messages import short
from tmkd.data.spacy_vectors import read_spacy_vectors
from tmkd.data.utf8 import MARK, without_mark
from tmkd.errors import TmkdError

Vector = npt.NDArray[np.float32]

_MAX_WIDTH = 4096  # dimensions
_MAX_LINE_LENGTH = 1 << 20  # characters of a line; bounds the memory
_FIRST_LINES = 32  # by which the width is known where line 1 does not tell it: one of them may be broken
_REMEDY = "get the file again, or take the line out"


def is_spacys(path: Path) -> bool:
    """True for a wheel or a folder, whose words are in no order of frequency as a text file's are."""
    return path.suffix == ".whl" or path.is_dir()


def read_vectors(path: Path) -> Iterator[tuple[str, Vector]]:
    """Stream the words of a text file, a wheel or a folder, and their vectors, float32 (width,), in their order there.

    A line is a word and its numbers, separated by single spaces; word2vec's first line (`count width`) is optional.
    A word may contain spaces, as a few of GloVe's do. Bytes that are not UTF-8 become U+FFFD.
    Raises: TmkdError when the file is missing, empty or damaged, or ends before its count; naming the line for a width
    unlike the others', or a value that is not a finite number.
    """
    if is_spacys(path):
        yield from read_spacy_vectors(path)
        return
    packed = path.suffix == ".gz"
    if (path.with_suffix("") if packed else path).suffix not in (".txt", ".vec"):
        raise TmkdError(
            f"{path}: not word vectors; give a .txt or .vec file (GloVe, word2vec) or a .gz of one, or spaCy's: a .whl "
            "or a folder"
        )
    width = count = told = 0
    try:
        with gzip.open(path) if packed else path.open("rb") as data:
            without_mark(data.peek(4)[:4], str(path))
            file = io.TextIOWrapper(data, encoding="utf-8-sig", errors="replace", newline="\n")
            lines = _lines(path, file)
            first = list(islice(lines, _FIRST_LINES))
            for number, line in chain(first, lines):
                fields = line.split(" ")
                header = number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields)
                width = width or (int(fields[1]) if header else _width(first))
                if not 1 <= width <= _MAX_WIDTH:
                    raise TmkdError(
                        f"{path}: line {number} is not a word and 1 to {_MAX_WIDTH} numbers: '{short(line)}'"
                    )
                if header:
                    told = int(fields[0])
                else:
                    count += 1
                    yield " ".join(fields[:-width]), _vector(path, number, fields, width)
    except (OSError, EOFError, zlib.error) as error:
        raise TmkdError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not width:
        raise TmkdError(f"{path}: empty, it has no words")
    if told and told != count:
        raise TmkdError(f"{path}: line 1 promises {told:,} words, there are {count:,}; get the file again")


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """Iterate over non-empty lines, numbered from 1; only \\n ends a line: words contain Unicode's other separators."""
    number = 0
    while line := file.readline(_MAX_LINE_LENGTH):
        number += 1
        if len(line) == _MAX_LINE_LENGTH:
            raise TmkdError(f"{path}: line {number} is longer than a word and its numbers can be")
        if stripped := line.rstrip("\r\n ").lstrip(MARK):  # files that were joined end to end have marks inside
            yield number, stripped


def _width(lines: list[tuple[int, str]]) -> int:
    """Fields that follow the word in most lines, the earliest among equals: a line may be broken, the first one too."""
    return Counter(line.count(" ") for _, line in lines).most_common(1)[0][0]


def _vector(path: Path, number: int, fields: list[str], width: int) -> Vector:
    """Parse the last `width` fields of a line."""
    where, found = f"{path}: line {number} ('{short(fields[0], 20)}')", fields[-width:]
    if len(fields) <= width or (len(fields) > width + 1 and _is_number(fields[-width - 1])):
        raise TmkdError(f"{where} has {len(fields) - 1} numbers, not {width}; {_REMEDY}")
    try:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite
            vector = np.array(found, dtype=np.float32)
    except ValueError:
        wrong = next(field for field in found if not _is_number(field))
        raise TmkdError(f"{where}: '{short(wrong, 20)}' is not a number; {_REMEDY}") from None
    if not np.isfinite(vector).all():
        wrong = found[int(np.isfinite(vector).argmin())]
        raise TmkdError(f"{where}: '{short(wrong, 20)}' is not a finite number; {_REMEDY}")
    return vector


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
