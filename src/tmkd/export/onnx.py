"""A student → a bundle: fp32 and int8 graphs, tokenizer, parity report and model card, checked before it is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tmkd.bundle.format import ENGINES, GRAPHS, REPORT, Bundle, Engine, Precision
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.session import Session
from tmkd.errors import TmkdError
from tmkd.export.card import model_card
from tmkd.export.parity import CheckSet, compare, fp32_faults, int8_faults
from tmkd.export.quantize import input_moments
from tmkd.export.student_graph import round_layers, student_graph
from tmkd.network import Student, open_student
from tmkd.store import json_bytes, write_atomic

CARD = "README.md"


def export_bundle(
    student_folder: Path,
    calibration: Sequence[tuple[str, str]],
    checks: Sequence[CheckSet],
    folder: Path,
    force: bool = False,
) -> dict[str, Any]:
    """Write the student's bundle into `folder`, all but its manifest, and return what the parity report says.

    The int8 weights are rounded by what `calibration` pairs, (question, passage), put in. On each of `checks` the fp32
    graph is compared with the student in PyTorch and the int8 graph with fp32, as onnxruntime computes it and, where it
    can, our own kernel. The bundle names the engines that kept the int8 graph's limits; where none did, the graph is
    left out or, with `force`, served all the same. The report's `faults` say by engine which limits.
    Raises: TmkdError when there is nothing to check with, the body has no export, or the fp32 graph differs from the
    student.
    """
    if not checks or not calibration:
        raise TmkdError("an export needs pairs: some to round the int8 weights by, and some to check the graphs with")
    student = open_student(student_folder)
    tokenizer, positive = student.tokenizer, student.labels.positive_index
    pad_id = tokenizer.settings.pad_id
    graphs: dict[Precision, onnx.ModelProto] = {
        "fp32": student_graph(student),
        "int8": student_graph(student, round_layers(student, input_moments(student, calibration))),
    }
    report: dict[str, Any] = {"calibration_pairs": len(calibration), "fp32": [], "int8": [], "kernel": []}
    faults: dict[Engine, list[str]] = {"onnxruntime": []}
    sessions = {precision: Session(graph.SerializeToString(), precision) for precision, graph in graphs.items()}
    in_bytes = graphs["int8"].SerializeToString()
    kernel = None if kernel_fault(in_bytes) else Kernel(in_bytes, "int8")
    if kernel is not None:
        faults["kernel"] = []
    for check in checks:
        read = tokenizer.encode(check.questions, check.passages)
        said = student.predict_proba(list(zip(check.questions, check.passages, strict=True)))
        exact, quick = (np.exp(sessions[precision].logits(read, pad_id)) for precision in ("fp32", "int8"))
        report["fp32"].append(compare(said, exact, check, positive))
        report["int8"].append(compare(exact, quick, check, positive))
        wrong = fp32_faults(report["fp32"][-1])
        if wrong:
            raise TmkdError(f"the ONNX graph is not the student: {'; '.join(wrong)}")
        faults["onnxruntime"] += int8_faults(report["int8"][-1])
        if kernel is not None:
            report["kernel"].append(compare(exact, np.exp(kernel.logits(read)), check, positive))
            faults["kernel"] += int8_faults(report["kernel"][-1])
    kept = [engine for engine in ENGINES if faults.get(engine) == []]
    engines = kept or [engine for engine in ENGINES if force and engine in faults]
    if not engines:
        del graphs["int8"]
    report["faults"] = faults
    _write(student, graphs, report, folder, engines)
    return report


def _write(
    student: Student,
    graphs: dict[Precision, onnx.ModelProto],
    report: dict[str, Any],
    folder: Path,
    engines: Sequence[Engine],
) -> None:
    for precision, graph in graphs.items():
        onnx.checker.check_model(graph)
        write_atomic(folder / GRAPHS[precision], graph.SerializeToString())
    student.tokenizer.save(folder)
    headers = tuple(header.name for header in student.headers.named)
    bundle = Bundle(student.labels, student.tokenizer.settings, headers, tuple(graphs), tuple(engines))
    bundle.write(folder)
    write_atomic(folder / REPORT, json_bytes(report))
    write_atomic(folder / CARD, model_card(bundle, report).encode())
