"""tmkd: several big question-passage relevance models into one small, fast student.

`tmkd.Student` is loaded when it is first asked for, so that `import tmkd` needs neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmkd.network.student import Student

__all__ = ["Student"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Student":
        from tmkd.network.student import Student

        return Student
    raise AttributeError(f"module 'tmkd' has no attribute '{name}'")
