"""Speed of serving a student: its bundle beside its teacher, the same student elsewhere, the processor's peak.

    python benchmarks/serve_speed.py --bundle runs/webqa/bundle --student runs/webqa/students/0123456789abcdef \
        --teacher runs/webqa/teachers/webqa/t1 --file test.parquet [--only peers|large|peak|latency]

The bundle is the student's (`tmkd export`), the teacher any sequence classifier; the file holds pairs.
sentence-transformers and onnxscript come with `pip install '.[bench]'`. Each target is printed as reached or not;
nothing is asserted, since the numbers depend on the machine.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, BertModel

from tmkd.bundle import Ranker
from tmkd.bundle.fair_queue import FairQueue
from tmkd.bundle.graph import Graph
from tmkd.bundle.kernel import Kernel
from tmkd.bundle.kernel_library import Int8Linear, kernel_level
from tmkd.bundle.kernel_weights import aligned
from tmkd.bundle.session import Session
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.data.text import TOKENIZER
from tmkd.data.tokens import TokenIds
from tmkd.evaluate.speed import in_turns, wall_time
from tmkd.export.compat import export_compat
from tmkd.export.onnx_graph import onnx_model
from tmkd.export.student_graph import round_layers, student_graph
from tmkd.machine import machine_line
from tmkd.network import Student
from tmkd.network.encoder import quiet
from tmkd.network.headers import Header
from tmkd.recipe.parts import SourceSpec

Pairs = list[tuple[str, str]]
Score = Callable[[Pairs], object]
BATCH = 32  # of the other programs, their own default


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("bundle", "student", "teacher", "file"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--pairs", type=int, default=640, help="pairs timed")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--engine", choices=("kernel", "onnxruntime"), help="of int8; default: that of Ranker")
    options.add_argument("--width", type=int, choices=(1, 2), help="bytes of an input; default: that of Ranker")
    options.add_argument("--only", choices=("peers", "large", "peak", "latency"))
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    table = read_source(SourceSpec(file=given.file.name), given.file.parent, LabelSet("test", ("no", "yes"), "yes"))
    table = table.slice(0, given.pairs)
    pairs: Pairs = list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))
    ranker = Ranker(given.bundle, "int8", given.threads, given.engine, given.width)
    tokens = ranker.tokenizer.encode(*map(list, zip(*pairs, strict=True)))
    size = f"{len(pairs)} pairs of {tokens.lengths.mean():.1f} token ids, {given.threads} threads"
    print(f"{machine_line()}; int8 by {ranker.engine} of width {ranker.width}; {size}")
    parts = [given.only] if given.only else ["peers", "large", "peak", "latency"]
    if "peers" in parts:
        peers(ranker, given.student, given.teacher, pairs, given.repeats, given.threads)
    if "large" in parts:
        large(pairs, ranker, given.student, given.repeats, given.threads)
    if "peak" in parts:
        peak(ranker, pairs, given.repeats, given.threads)
    if "latency" in parts:
        latency(ranker, pairs)


def speeds(scorers: dict[str, Score], pairs: Pairs, repeats: int) -> dict[str, float]:
    """Median pairs/s of each scorer after a warm-up, in turns."""
    for score in scorers.values():
        score(pairs[:BATCH])
        score(pairs)
    seconds = in_turns({name: partial(score, pairs) for name, score in scorers.items()}, repeats)
    for name, times in seconds.items():
        spread = (max(times) - min(times)) / median(times)
        print(f"  {name:58s} {len(pairs) / median(times):9,.1f} pairs/s  (spread {100 * spread:.0f} %)")
    return {name: len(pairs) / median(times) for name, times in seconds.items()}


def target(what: str, reached: float, wanted: float, unit: str = "×") -> None:
    """Print a target as reached or missed."""
    print(f"  {'reached' if reached >= wanted else 'MISSED '}  {what}: {reached:.1f} {unit}, target {wanted:g}")


def peers(ranker: Ranker, student: Path, teacher: Path, pairs: Pairs, repeats: int, threads: int) -> None:
    """The bundle beside CrossEncoder.predict with the teacher and with the student, and beside a plain ONNX export."""
    from sentence_transformers import CrossEncoder

    with tempfile.TemporaryDirectory() as place:
        compat = Path(place) / "compat"
        export_compat(student, pairs[:256], None, None, compat)
        plain = plain_int8(compat, Path(place), threads)
        big, small = (CrossEncoder(str(folder), device="cpu", max_length=128) for folder in (teacher, compat))
        fp32, in_onnx = (Ranker(ranker.folder, kind, threads, "onnxruntime") for kind in ("fp32", "int8"))
        print("beside other programs")
        speed = speeds(
            {
                "teacher, CrossEncoder.predict fp32": lambda some: big.predict(some, batch_size=BATCH),
                "student, CrossEncoder.predict fp32": lambda some: small.predict(some, batch_size=BATCH),
                "student, plain export fused and quantised by onnxruntime": plain,
                "student, bundle fp32": fp32.predict_proba,
                "student, bundle int8, onnxruntime": in_onnx.predict_proba,
                "student, bundle int8": ranker.predict_proba,
            },
            pairs,
            repeats,
        )
    ours = speed["student, bundle int8"]
    target("int8 bundle over the teacher in CrossEncoder", ours / speed["teacher, CrossEncoder.predict fp32"], 12)
    target("int8 bundle over the student in CrossEncoder", ours / speed["student, CrossEncoder.predict fp32"], 7)
    named = "student, plain export fused and quantised by onnxruntime"
    target("int8 bundle over the plain int8 export", ours / speed[named], 2)


def plain_int8(compat: Path, place: Path, threads: int) -> Score:
    """The usual export of the same student: torch.onnx, onnxruntime's BERT fusion, its default dynamic int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model
    from tokenizers import Tokenizer

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(compat, attn_implementation="eager").eval()
    places = place / "plain.onnx", place / "fused.onnx", place / "int8.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = tuple(torch.ones(2, 16, dtype=torch.int64) for _ in names)
    axes = {name: {0: "pairs", 1: "longest"} for name in names}
    torch.onnx.export(
        model, example, places[0], input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False
    )
    config = model.config
    fused = optimize_model(str(places[0]), "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
    fused.save_model_to_file(str(places[1]))
    types = {"DefaultTensorType": TensorProto.FLOAT}  # it cannot infer the types of fused operators
    quantize_dynamic(places[1], places[2], weight_type=QuantType.QInt8, extra_options=types)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(places[2], options, providers=["CPUExecutionProvider"])
    taken = {one.name for one in session.get_inputs()}
    tokenizer = Tokenizer.from_file(str(compat / "tokenizer.json"))
    tokenizer.enable_truncation(128, strategy="only_second")
    tokenizer.enable_padding()

    def score(pairs: Pairs) -> None:
        for start in range(0, len(pairs), BATCH):
            read = tokenizer.encode_batch(pairs[start : start + BATCH])
            inputs = {
                "input_ids": np.array([one.ids for one in read], dtype=np.int64),
                "attention_mask": np.array([one.attention_mask for one in read], dtype=np.int64),
                "token_type_ids": np.array([one.type_ids for one in read], dtype=np.int64),
            }
            session.run(None, {name: inputs[name] for name in taken})

    return score


def large(pairs: Pairs, ranker: Ranker, student: Path, repeats: int, threads: int) -> None:
    """The paper's BERT-3 beside BERT-large, both with random weights: speed alone."""
    some = pairs[:64]
    tokens = ranker.tokenizer.encode(*map(list, zip(*some, strict=True)))
    pad_id = ranker.bundle.text.pad_id
    with quiet():
        big = BertForSequenceClassification(
            BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
        ).eval()
    small = bert_3(student)
    linear = {name: part for name, part in small.encoder.named_modules() if isinstance(part, torch.nn.Linear)}
    rounded = round_layers(small, {name: np.eye(part.in_features) for name, part in linear.items()})
    encode = encoder(student_graph(small, rounded).SerializeToString(), ranker, threads)

    def whole(_: Pairs) -> None:
        with torch.inference_mode():
            for start in range(0, len(some), BATCH):
                padded = tokens.pad(range(start, min(start + BATCH, len(some))), pad_id)
                big(**{name: torch.from_numpy(values) for name, values in padded.items()})

    print("the paper's sizes, without tokenising")
    speed = speeds(
        {"BERT-large, PyTorch fp32": whole, "BERT-3, int8 graph": lambda _: encode(tokens)},
        some,
        min(repeats, 2),
    )
    target("BERT-3 over BERT-large", speed["BERT-3, int8 graph"] / speed["BERT-large, PyTorch fp32"], 80)


def encoder(graph: bytes, ranker: Ranker, threads: int) -> Callable[[TokenIds], object]:
    """The ranker's engine with an int8 graph: token ids → logits."""
    if ranker.engine == "kernel":
        return FairQueue(Kernel(graph, "int8", width=ranker.width or 2), threads).logits
    return FairQueue(Session(graph, "int8", ranker.bundle.text.pad_id), threads).logits


def bert_3(student: Path) -> Student:
    """A student of the paper's size, with random weights and the tokenizer of a student's folder."""
    with tempfile.TemporaryDirectory() as place, quiet():
        BertModel(BertConfig(num_hidden_layers=3)).save_pretrained(place)
        shutil.copy(student / TOKENIZER, place)
        headers = [Header(f"task/t{number}", str(number)) for number in range(4)]
        return Student.start(Path(place), 3, "pooler", LabelSet("task", ("no", "yes"), "yes"), headers, 128, 1)


def peak(ranker: Ranker, pairs: Pairs, repeats: int, threads: int) -> None:
    """Share of the processor's int8 peak that the encoder reaches.

    The peak is the highest rate of the encoder's own matrix products with 2,048 rows, by onnxruntime or by our kernel.
    With inputs of two bytes the kernel multiplies twice; the share is then printed for both counts.
    """
    graph = onnx.load(ranker.folder / "model.int8.onnx").graph
    large = 20_000  # a larger matrix is the word embeddings, no factor of a product
    stored = [tuple(one.dims) for one in graph.initializer if one.data_type == TensorProto.INT8]
    shapes = sorted({shape for shape in stored if len(shape) == 2 and max(shape) < large})
    engines = {"onnxruntime": onnxruntime_rate} | ({"kernel": kernel_rate} if kernel_level() else {})
    print("the processor's int8 peak")
    best = 0.0
    for inner, outer in shapes:
        for name, rate_of in engines.items():
            rate = rate_of(inner, outer, threads, repeats)
            best = max(best, rate)
            print(f"  2,048 × {inner} × {outer}, {name}: {rate / 1e9:,.0f} GOP/s")
    tokens = ranker.tokenizer.encode(*map(list, zip(*pairs, strict=True)))
    encode = encoder((ranker.folder / "model.int8.onnx").read_bytes(), ranker, threads)
    shortest = min(wall_time(lambda: encode(tokens)) for _ in range(repeats + 1))
    width, wide = min(map(min, shapes)), max(map(max, shapes))
    layers = sum(one.op_type == "Softmax" for one in graph.node)
    whole = 2 * (4 * width * width + 2 * width * wide)
    times = ranker.width or 1
    every = (layers - 1) * whole + 4 * width * width
    done = times * float(tokens.lengths.sum()) * every
    rates = f"{done / shortest / 1e9:,.0f} GOP/s, {len(pairs) / shortest:,.0f} pairs/s"
    print(f"  the encoder's products, whole runs: {rates}")
    target("share of the peak, products as they are made", 100 * done / shortest / best, 65, "%")
    if times > 1:
        target("share of the peak, one product for each input", 100 * done / times / shortest / best, 65, "%")


def kernel_rate(inputs: int, outputs: int, threads: int, repeats: int) -> float:
    """Operations per second of the kernel's int8 layer on 2,048 rows (16 bit) → bf16, one layer per thread."""
    layer_of = compiled_primitives().primitive_int8_linear
    layer_of.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    rng = np.random.default_rng(1)
    weight = aligned(rng.integers(-127, 127, (inputs, outputs), dtype=np.int8))
    vectors = [aligned(np.zeros(outputs, dtype=kind)) for kind in (np.float32, np.float32, np.int32)]
    layer = Int8Linear(weight.ctypes.data, *(vector.ctypes.data for vector in vectors), inputs, outputs, 2)
    scales = aligned(np.zeros(2048, dtype=np.float32))
    codes = [aligned(rng.integers(0, 255, (2, 2048, inputs), dtype=np.uint8)) for _ in range(threads)]
    outs = [aligned(np.zeros(2048 * outputs, dtype=np.uint16)) for _ in range(threads)]

    def ten(left: np.ndarray, out: np.ndarray) -> None:
        rows = (ctypes.c_void_p * 3)(left.ctypes.data, scales.ctypes.data, 2)  # QuantisedRows of rows.h
        for _ in range(10):
            layer_of(kernel_level(), rows, 2048, ctypes.byref(layer), 0, out.ctypes.data)  # 0: STORE_BF16

    with ThreadPoolExecutor(threads) as pool:
        best = min(wall_time(lambda: list(pool.map(ten, codes, outs))) for _ in range(repeats + 1))
    return 10 * threads * 2 * 2 * 2048 * inputs * outputs / best


@cache
def compiled_primitives() -> ctypes.CDLL:
    """The kernel's functions one by one (src/kernel/primitives.c), which the installed library does not export."""
    sources = Path(__file__).parents[1] / "src" / "kernel"
    flags = [f"@{sources / name}" for name in ("avx512.flags", "amx.flags")[: kernel_level()]]
    with tempfile.TemporaryDirectory() as place:
        library = Path(place) / "primitives.so"
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-O3", "-shared", "-fPIC", *flags, sources / "primitives.c", "-o", library], check=True
        )
        return ctypes.CDLL(str(library))


def onnxruntime_rate(inner: int, outer: int, threads: int, repeats: int) -> float:
    """Operations per second of onnxruntime's uint8 × int8 → fp32 with 2,048 rows, on all threads."""
    rng = np.random.default_rng(1)
    graph = Graph({})
    scale, zero = graph.constant(np.float32(1)), graph.constant(np.uint8(128))
    weight = graph.constant(rng.integers(-127, 127, (inner, outer), dtype=np.int8))
    zeros = graph.constant(np.zeros(outer, dtype=np.int8))
    left = graph.node("DequantizeLinear", "rows", scale, zero)
    right = graph.node("DequantizeLinear", weight, graph.constant(np.ones(outer, np.float32)), zeros, axis=1)
    output = graph.node("MatMul", left, right)
    model = onnx_model(graph, [], output, outer)
    model.graph.input.append(helper.make_tensor_value_info("rows", TensorProto.UINT8, [2048, inner]))
    values = rng.integers(0, 255, (2048, inner), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, {"rows": values})
    best = min(wall_time(lambda: [session.run(None, {"rows": values}) for _ in range(10)]) for _ in range(repeats))
    return 10 * 2 * 2048 * inner * outer / best


def latency(ranker: Ranker, pairs: Pairs) -> None:
    """Latency of ranking one question's ten passages, from text to sorted list."""
    questions = [
        (pairs[at][0], [passage for _, passage in pairs[at : at + 10]]) for at in range(0, len(pairs) - 10, 10)
    ]
    for question, passages in questions[:20]:
        ranker.rank(question, passages)
    times = [1e3 * wall_time(partial(ranker.rank, *one)) for _ in range(5) for one in questions]
    p50, p95, p99 = np.percentile(times, (50, 95, 99))
    print(f"one question, ten passages, {len(times)} calls: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")
    target("p50 below 10 ms", 10 / p50, 1)
    target("p99 below 10 ms", 10 / p99, 1)


if __name__ == "__main__":
    main()
