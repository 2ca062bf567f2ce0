"""Export of a bundle: fp32 and int8 graphs, tokenizer, parity report and model card, checked before it is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tmkd.bundle.check_sequences import check_sequences, check_tokens
from tmkd.bundle.fair_queue import FairQueue
from tmkd.bundle.format import (
    GRAPHS,
    INT8_ENGINES,
    KERNEL_1,
    KERNEL_2,
    ONNXRUNTIME,
    REPORT,
    Bundle,
    Precision,
)
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.kernel_library import kernel_level
from tmkd.bundle.network_graph import check_graph
from tmkd.bundle.onnx_reader import read_graph
from tmkd.bundle.session import Session
from tmkd.errors import TmkdError
from tmkd.export.card import model_card
from tmkd.export.parity import CheckSet, compare, fp32_faults, int8_faults, pooled
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
    """Write the student's bundle into `folder`, all but its manifest; returns the content of the parity report.

    The int8 weights are calibrated (GPTQ) on `calibration`, (question, passage) pairs. On each of `checks`, and on all
    as one, the fp32 graph is compared with the student in PyTorch, and the int8 graph with the fp32 one, computed by
    onnxruntime and, if it runs here, by our own kernel at each width. The bundle names the engines that kept the int8
    graph's limits. If none did, the int8 graph is left out or, with `force`, served all the same. The report's
    `faults` list the limits that an engine broke. Each engine is compared with the fp32 graph's log-odds of four fixed
    sequences whenever it opens the bundle.
    Raises: TmkdError when there are no pairs to calibrate on or check with, the encoder has no export, or the fp32
    graph differs from the student.
    """
    if not checks or not calibration:
        raise TmkdError("an export needs pairs to calibrate the int8 weights on, and pairs to check the graphs with")
    student = open_student(student_folder)
    tokenizer, positive = student.tokenizer, student.labels.positive_index
    pad_id = tokenizer.settings.pad_id
    graphs: dict[Precision, onnx.ModelProto] = {
        "fp32": student_graph(student),
        "int8": student_graph(student, round_layers(student, input_moments(student, calibration))),
    }
    sessions = {
        precision: FairQueue(Session(graph.SerializeToString(), precision, pad_id))
        for precision, graph in graphs.items()
    }
    int8_graph = graphs["int8"].SerializeToString()
    int8 = {ONNXRUNTIME: sessions["int8"]}
    if kernel_fault(int8_graph) is None:
        int8 |= {one: FairQueue(Kernel(int8_graph, "int8", width=one.width)) for one in (KERNEL_1, KERNEL_2)}
    faults: dict[str, list[str]] = {str(engine): [] for engine in int8}
    report: dict[str, Any] = {
        "calibration_pairs": len(calibration), "fp32": [], "int8": {name: [] for name in faults}, "faults": faults
    }  # fmt: skip
    parts = pooled(checks)
    pool, _ = parts[-1]
    tokens = tokenizer.encode(pool.questions, pool.passages)
    expected = student.predict_proba(list(zip(pool.questions, pool.passages, strict=True)))
    fp32 = np.exp(sessions["fp32"].logits(tokens))
    of_engines = {str(engine): np.exp(runner.logits(tokens)) for engine, runner in int8.items()}
    for check, place in parts:
        report["fp32"].append(compare(expected[place], fp32[place], check, positive))
        differences = fp32_faults(report["fp32"][-1])
        if differences:
            raise TmkdError(f"the ONNX graph is not the student: {'; '.join(differences)}")
        for name, scores in of_engines.items():
            measures = compare(fp32[place], scores[place], check, positive)
            report["int8"][name].append(measures)
            faults[name] += int8_faults(measures)
    kept = [engine for engine in INT8_ENGINES if faults.get(str(engine)) == []]
    engines = kept or [engine for engine in INT8_ENGINES if force and engine in int8]
    if not engines:
        del graphs["int8"]
    sequences = check_tokens(tokenizer, check_graph(read_graph(int8_graph)).words)
    shown = [sessions["int8"].logits(sequences)] if ONNXRUNTIME in engines else []
    for one in engines:
        levels = range(1, kernel_level() + 1) if one.engine == "kernel" else ()
        shown += [FairQueue(Kernel(int8_graph, "int8", level, one.width)).logits(sequences) for level in levels]
    bundle = Bundle(
        labels=student.labels,
        text=tokenizer.settings,
        headers=tuple(header.name for header in student.headers.named),
        precisions=tuple(graphs),
        engines=tuple(engines),
        check=check_sequences(sequences, sessions["fp32"].logits(sequences), shown),
    )
    _write(student, graphs, report, folder, bundle)
    return report


def _write(
    student: Student, graphs: dict[Precision, onnx.ModelProto], report: dict[str, Any], folder: Path, bundle: Bundle
) -> None:
    for precision, graph in graphs.items():
        onnx.checker.check_model(graph)
        write_atomic(folder / GRAPHS[precision], graph.SerializeToString())
    student.tokenizer.save(folder)
    bundle.write(folder)
    write_atomic(folder / REPORT, json_bytes(report))
    write_atomic(folder / CARD, model_card(bundle, report).encode())
