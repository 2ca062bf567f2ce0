"""Index files where tantivy may lock them: it writes a lock file even to read, which a read-only folder refuses."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class WritableFiles:
    """Folder of an index's files that can be written: the folder itself, or links to its files in a temporary one.

    The temporary folder goes with this object. Raises: OSError when there is no place for temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if os.access(folder, os.W_OK):
            return
        self.folder = Path(tempfile.mkdtemp(prefix="tmkd-index-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for file in folder.resolve().iterdir():
            if not file.name.endswith(".lock"):
                (self.folder / file.name).symlink_to(file)
