"""`tmkd check`: read every file that a recipe names, verify finished artifacts, and estimate the work left."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

from tmkd.bundle.bert_graph import GELUS
from tmkd.distill.rows import declared, members, refuse_gaps
from tmkd.errors import TmkdError, install_hint, optional_import
from tmkd.flow.best_teacher import best_possible
from tmkd.flow.check_files import Pairs, read_files
from tmkd.flow.export import exported_task
from tmkd.flow.hours import by_verb
from tmkd.flow.plan import seeds_line, steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.pretrained.find import model_config
from tmkd.progress import clock
from tmkd.recipe.serving import ExportSpec
from tmkd.store import verify
from tmkd.train.estimate import Estimate

EXPORTED = ("bert", "tmkd-bilstm")  # families of a student's body that have an ONNX export


def check_run(run: RunFolder, console: Console, as_json: bool) -> None:
    """Read every named file, verify every finished artifact, and print an estimate of each step that is not done.

    Raises: TmkdError for the first fault.
    """
    from tmkd.serve.lookup import check_entries

    for _ in steps(run):  # names that lead nowhere, and files that are missing
        pass
    pairs = read_files(run)
    if run.recipe.serve is not None:
        with optional_import("serve needs", "lmdb"):
            import_module("lmdb")
    check_bodies(run)
    _check_models(run, pairs)
    _check_gaps(run, pairs)
    left: list[tuple[Step, Estimate]] = []
    for step in steps(run):
        if step.state().kind == "done":
            run.bring(step.folder)
            if step.folder == run.lookup_folder:
                check_entries(step.folder)
            verify(step.folder)
        else:
            left.append((step, step.estimate(pairs.sizes)))
    if as_json:
        print(json.dumps([{"step": step.title, **vars(one)} for step, one in left], indent=1))
        return
    table = Table("step", "pairs", "about", "disk")
    for step, one in left:
        table.add_row(
            step.title, f"{one.pairs:,}" if one.pairs else "", clock(one.seconds), f"{one.bytes / 1e6:.1f} MB"
        )
    if left:
        console.print(table)
    console.print(seeds_line(run), highlight=False)
    disk = sum(one.bytes for _, one in left)
    state = f"{by_verb(left)}; {disk / 1e6:.0f} MB" if left else "all is done"
    console.print(f"the recipe and its files are in order; {state}", highlight=False)


def check_bodies(run: RunFolder) -> None:
    """Compare each student with its encoder's config.json: layers, neurons, length, family, and its export.

    Raises: TmkdError for a student that cannot be cut from its base, or not be exported as the recipe asks.
    """
    for student in map(run.recipe.student_of, run.rows):
        config = model_config(run.pretrained(student.base).path)
        if config.get("is_encoder_decoder"):
            raise TmkdError(
                f"student.base: {student.base} is a {config.get('model_type')}, which has no encoder alone; take an "
                "encoder such as BERT"
            )
        for key, wanted, field in (
            ("num_hidden_layers", student.layers, "layers"),
            ("intermediate_size", student.ffn, "ffn"),
            ("max_position_embeddings", student.max_length, "max_length"),
        ):
            has = config.get(key)
            if isinstance(has, int) and wanted is not None and wanted > has:
                raise TmkdError(f"student.{field} is {wanted}, but {student.base} has {has}; set it to {has} or fewer")
    if run.recipe.export is not None:
        _check_export(run, run.recipe.export)


def _check_export(run: RunFolder, export: ExportSpec) -> None:
    """Compare the family of each exported student with those that can be, and find the packages for it.

    Raises: TmkdError for another family, or a missing package.
    """
    for module in ("onnx", "onnxruntime"):
        if find_spec(module) is None:
            raise TmkdError(f"export needs {module}: {install_hint(module)}")
    for base in dict.fromkeys(run.recipe.student_of(row).base for _, row in export.named):
        config = model_config(run.pretrained(base).path)
        family, activation = config.get("model_type"), config.get("hidden_act", "gelu")
        if family not in EXPORTED:
            raise TmkdError(
                f"export: a student cut from a {family} ({base}) has no ONNX export; take a base of "
                f"{', '.join(EXPORTED)}, or leave export out"
            )
        if family == "bert" and activation not in GELUS:
            raise TmkdError(
                f"export: {base} has the activation {activation}, which has no ONNX export; "
                f"{', '.join(GELUS)} have; take another base, or leave export out"
            )
    task, student = exported_task(run, export.row), run.recipe.student_of(export.row)
    family = model_config(run.pretrained(student.base).path).get("model_type")
    if export.compat and (family != "bert" or student.pool != "pooler" or len(run.recipe.tasks[task].labels) != 2):
        raise TmkdError(
            "export.compat: a one-logit model needs a BERT body, pool: pooler and two classes; set compat: false"
        )


def _check_gaps(run: RunFolder, pairs: Pairs) -> None:
    """Count the known pairs that an imported teacher has no score for.

    Raises: TmkdError for a row that needs them; of `teachers: best` it is known only when the teachers are.
    """
    from tmkd.teachers.imported import read_scores

    missing: dict[str, dict[str, int]] = {corpus: {} for corpus in pairs.tables}
    for name, teacher in run.teachers.items():
        if teacher.spec.file is None or teacher.spec.missing == "error":
            continue
        ids = frozenset(read_scores(teacher.spec.file, teacher.spec, run.labels(teacher.spec.task), run.base)[0])
        for corpus, table in pairs.tables.items():
            missing[corpus][name] = sum(one not in ids for one in table["id"].to_pylist())
    for row, task, _ in run.placed_rows():
        for chain in members(run.recipe, row, run.recipe.rows[row], task, partial(best_possible, run.recipe)):
            for planned in (one for one in chain if one.stage.teachers != "best" and one.corpus in pairs.tables):
                lacking = {name: missing[planned.corpus].get(name, 0) for name in planned.teachers}
                refuse_gaps(row, planned, lacking, pairs.tables[planned.corpus].num_rows)


def _check_models(run: RunFolder, pairs: Pairs) -> None:
    """Open each teacher and each student's base as the run does, and compare the labels with the losses.

    Raises: TmkdError for a model that cannot be trained or score here, or a pair without the label that α < 1 needs.
    """
    from tmkd.data.pairs import require_golden
    from tmkd.data.text import PairTokenizer
    from tmkd.network.encoder import bottom_layers, fresh_pooler
    from tmkd.network.prune import check_sizes
    from tmkd.network.student import check_encoder

    run.hardware()
    fits = [teacher.spec.fit for teacher in run.teachers.values()]
    fits += [stage.fit for row in run.rows for stage in run.recipe.rows[row].stages]
    if any(fit.tensorboard for fit in fits):
        with optional_import("tensorboard: true needs", "tensorboard"):
            import_module("torch.utils.tensorboard")
    corpora = [corpus for corpus in run.corpora() if corpus in pairs.tables]
    for name, teacher in run.teachers.items():
        teacher.check(run, {one: pairs.tables[one] for one in corpora if name in declared(run.recipe, one)})
    for row, task, _ in run.placed_rows():
        stages = run.recipe.rows[row].stages
        if any(one.corpus == "task" and one.alpha < 1 and one.unlabelled == "error" for one in stages):
            require_golden(pairs.tables[f"{task}/train"])
    for student in {run.student_of(row): None for row in run.rows}:
        folder = run.pretrained(student.base).path
        encoder = bottom_layers(folder, student.layers, student.pool)
        check_encoder(encoder, student.pool, student.max_length, folder)
        check_sizes(encoder, PairTokenizer.load(folder, student.max_length).tokenizer, student)
        if student.fresh_pooler is True:
            fresh_pooler(encoder, seed=0)
