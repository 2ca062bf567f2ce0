"""Virtual environments of the clients, one each: made from the pins in pins/, and again when these change.

`python tests/clients/environments.py [CLIENT…]` makes them, or without a name all of them, in .clients/.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".clients"
PINS = Path(__file__).parent / "pins"
CLIENTS = tuple(sorted(path.stem for path in PINS.glob("*.txt")))


def python_of(client: str) -> Path:
    """Interpreter of a client's environment."""
    return FOLDER / client / "bin" / "python"


def is_current(client: str) -> bool:
    """Whether a client's environment is there and of today's pins."""
    copy = FOLDER / client / "pins.txt"
    return copy.is_file() and copy.read_bytes() == (PINS / f"{client}.txt").read_bytes()


def make(client: str) -> None:
    """Make a client's environment; one of other pins is replaced."""
    print(f"{client}: installing", file=sys.stderr)
    folder, pins = FOLDER / client, PINS / f"{client}.txt"
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    subprocess.run([python_of(client), "-m", "pip", "install", "--quiet", "--no-deps", "-r", pins], check=True)
    shutil.copy(pins, folder / "pins.txt")  # last: without it the environment is not finished


if __name__ == "__main__":
    for client in sys.argv[1:] or CLIENTS:
        if not is_current(client):
            make(client)
