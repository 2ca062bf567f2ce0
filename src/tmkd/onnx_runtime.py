"""Import of ONNX Runtime without its telemetry."""

from __future__ import annotations

import os
from types import ModuleType

from tmkd.errors import optional_import


def onnx_runtime(subject: str) -> ModuleType:
    """Import ONNX Runtime; `subject` begins the message where it is not installed: "a bundle needs".

    From 1.29 on its Linux builds send what they run to their maker, and keep a number of this machine, unless the
    environment says otherwise before the import. An ORT_DISABLE_TELEMETRY that is set already is left as it is.
    Raises: TmkdError with the command that installs it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with optional_import(subject, "onnxruntime"):
        import onnxruntime
    return onnxruntime  # type: ignore[no-any-return]
