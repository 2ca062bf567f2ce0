"""Index files in a folder that may not be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.search.writable import WritableFiles

_SEARCH = """
import os, sys, tempfile
from pathlib import Path
import tantivy
import tmkd.search.candidates
from tmkd.search.index import TantivyIndex
if os.getuid() == 0:  # root may write anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
assert not os.access(folder / ".words", os.W_OK)
print([hit.url for hit in TantivyIndex(folder).search("why is the sky blue", 10)])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An index in a folder that everybody may read and nobody write."""
    place = Path(tempfile.mkdtemp())
    TantivyIndex.build(place / "index", [Passage("sky", "", "The sky is blue because air scatters light.")])
    for path in (place, *place.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield place / "index"
    for path in (place, *place.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permission")
def test_an_index_that_may_not_be_written_is_searched_and_left_as_it_is(folder: Path) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    done = subprocess.run([sys.executable, "-c", _SEARCH, folder], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("['sky']\n", 0), done.stderr
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_a_folder_that_can_be_written_is_taken_as_it_is(tmp_path: Path) -> None:
    assert WritableFiles(tmp_path).folder == tmp_path


def test_links_go_with_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meta.json").write_text("{}")
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    files = WritableFiles(tmp_path)
    assert (files.folder / "meta.json").read_text() == "{}"
    place = files.folder
    del files
    assert not place.exists()
