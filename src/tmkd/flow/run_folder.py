"""Run folder of a recipe: paths of all artifacts, files from outside, and the students that a row stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tmkd import ranks
from tmkd.data.hub import source_path
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn
from tmkd.distill.rows import PlannedStage, chain_key, declared, members
from tmkd.distill.selection import Selection, exported, placed_rows
from tmkd.errors import TmkdError, UsageError, did_you_mean
from tmkd.flow.best_teacher import best
from tmkd.pooler import Use, never_trained
from tmkd.pretrained.find import ModelFolder, find
from tmkd.recipe.parts import FreshPooler, SourceSpec, StudentSpec
from tmkd.recipe.schema import Recipe
from tmkd.recipe.seeds import unseeded, with_teachers_seed
from tmkd.store import digest_json, digest_path, read_manifest, sealed
from tmkd.teachers.kinds import teachers_of

if TYPE_CHECKING:
    from tmkd.object_store.remote_run import RemoteRun
    from tmkd.train.hardware import Hardware


class RunFolder:
    """Recipe and its run folder. Opening it reads nothing; its methods read manifests and files that the recipe names.

    `recipe_base` is the recipe's own folder, `folder` the run's: `runs/NAME`. `asked` is the recipe as it was read,
    `recipe` the same with the teachers of the first teachers' seed; `models` are the pretrained ones found so far. With
    `only`, these rows are made and no others. `remote` is the run in object storage whose cache `folder` is.
    """

    def __init__(
        self,
        recipe: Recipe,
        recipe_base: Path,
        folder: Path,
        only: Selection | None = None,
        remote: RemoteRun | None = None,
    ) -> None:
        self.asked, self.seeds, self.only, self.remote = recipe, recipe.seeds, only, remote
        self.recipe = with_teachers_seed(recipe if only is None else exported(recipe, only), recipe.seeds.teachers[0])
        self.teachers = {
            name: teacher
            for name, teacher in teachers_of(self.recipe).items()
            if only is None or unseeded(name) in only.teachers
        }
        self.recipe_base = recipe_base
        self.base = (recipe_base / recipe.data).resolve()
        # Workers of a cluster have another working folder.
        self.folder = folder.absolute() if recipe.engine.kind == "ray" else folder
        self.engine = recipe.engine.build(None if remote is None else remote.exchange())
        self._digests: dict[Path, str] = {}
        self.models: dict[str, ModelFolder] = {}
        self._fresh: dict[tuple[str, Use], bool] = {}

    @property
    def teachers_seed(self) -> int:
        """The teachers' seed."""
        return self.recipe.seeds.teachers[0]

    @cached_property
    def replicates(self) -> tuple[RunFolder, ...]:
        """This run, and the same with each further teachers' seed: what its teachers and their students are made in."""
        others = []
        for seed in self.seeds.teachers[1:]:
            seeds = self.seeds.model_copy(update={"teachers": (seed,)})
            whole = self.asked.model_copy(update={"seeds": seeds})
            other = RunFolder(whole, self.recipe_base, self.folder, self.only, self.remote)
            other._digests, other.models, other._fresh = self._digests, self.models, self._fresh
            others.append(other)
        return (self, *others)

    def bring(self, *artifacts: Path) -> None:
        """Bring the files of finished artifacts from object storage; elsewhere they are here already.

        Raises: TmkdError when it fails, or the cache has no room.
        """
        if self.remote is not None:
            for artifact in artifacts:
                self.remote.bring(artifact)

    def corpus_artifact(self, corpus: str) -> Path:
        """Artifact that a corpus belongs to: a task's corpora are made together."""
        return self.folder / "pairs" / corpus.partition("/")[0]

    def corpus_folder(self, corpus: str) -> Path:
        """Folder of a corpus: `TASK/train`, `TASK/dev`, `TASK/<test>` or a stage-1 corpus."""
        return self.folder / "pairs" / corpus

    def index_folder(self, corpus: str) -> Path:
        """Folder of the passages that a stage-1 corpus is searched in, with their search index."""
        return self.folder / "index" / corpus

    def questions_folder(self, corpus: str) -> Path:
        """Folder of the questions that a stage-1 corpus is searched for."""
        return self.folder / "questions" / corpus

    def teacher_folder(self, teacher: str) -> Path:
        """Folder of a teacher's artifact; a ready-made one has its weights elsewhere."""
        return self.folder / "teachers" / self.recipe.teachers[teacher].task / teacher

    def soft_folder(self, corpus: str, teacher: str) -> Path:
        """Folder of one teacher's logits for one corpus."""
        return self.folder / "softlabels" / corpus / teacher

    def student_folder(self, chain: tuple[PlannedStage, ...], seed: int) -> Path:
        """Folder of the student at the end of a chain of stages; rows that have the chain in common share it."""
        return self.folder / "students" / chain_key(chain, seed)

    def start_folder(self, first: PlannedStage) -> Path:
        """Folder of the pruned encoder that a chain with this first stage begins with."""
        key = digest_json([first.corpus, first.student.model_dump(mode="json")])[:16]
        return self.folder / "starts" / key

    def predictions_folder(self, task: str, key: str) -> Path:
        """Folder of probabilities on a task's tests; `key` is `teacher-NAME`, a student folder's name or `bundle`."""
        return self.folder / "predictions" / task / key

    @property
    def bundle_folder(self) -> Path:
        """Folder of the bundle that is served."""
        return self.folder / "bundle"

    @property
    def answers_folder(self) -> Path:
        """Folder of the answers computed offline: shards of questions, and a TREC run."""
        return self.folder / "precomputed"

    @property
    def lookup_folder(self) -> Path:
        """Folder of the look-up store of these answers."""
        return self.folder / "lookup"

    def pretrained(self, name: str) -> ModelFolder:
        """Checked local folder of a pretrained name, resolved once."""
        if name not in self.models:
            self.models[name] = find(name, self.recipe.pretrained, self.recipe_base, self.folder / "pretrained")
        return self.models[name]

    def fresh_pooler(self, asked: FreshPooler, base: str, use: Use) -> bool:
        """Whether a model that starts from this base gets a fresh pooler: `auto` resolved by the base's own weights."""
        if asked != "auto":
            return asked
        if (base, use) not in self._fresh:
            self._fresh[base, use] = never_trained(self.pretrained(base).path, use)
        return self._fresh[base, use]

    def student_of(self, row: str) -> StudentSpec:
        """A row's student as it is made: nothing in it is left to be decided."""
        student = self.recipe.student_of(row)
        asked = False if (student.fresh_pooler, student.pool) == ("auto", "first") else student.fresh_pooler
        return student.model_copy(update={"fresh_pooler": self.fresh_pooler(asked, student.base, "encoder")})

    def digests(self, sources: tuple[SourceSpec, ...]) -> dict[str, str]:
        """`file NAME` → SHA-256 of the users' files, each read once.  Raises: TmkdError for one that is not there."""
        found = {}
        for source in sources:
            source_path(source, self.base)  # reads a data set of the hub, where its file is not there
        for name in (name for source in sources for name in source.files):
            path = self.base / Path(name).expanduser()
            if not path.exists():
                raise TmkdError(f"{path}: no such file (named in the recipe; file names are relative to {self.base})")
            if path not in self._digests:  # by rank 0 alone, which decides what is stale
                self._digests[path] = digest_path(path) if ranks.is_first() else ""
            found[f"file {name}"] = self._digests[path]
        return found

    def hardware(self) -> Hardware:
        """Device and precision to work in: the recipe's, or the best there is."""
        from tmkd.train.hardware import pick_hardware

        return pick_hardware(self.recipe.device, self.recipe.precision)

    def demanded_precision(self) -> dict[str, str]:
        """Precision that the recipe demands, as a setting of what is made in it; `auto` demands none."""
        return {} if self.recipe.precision == "auto" else {"precision": self.recipe.precision}

    def labels(self, task: str) -> LabelSet:
        """The classes of a task."""
        return LabelSet(task, self.recipe.tasks[task].labels, self.recipe.tasks[task].positive)

    def corpora(self) -> list[str]:
        """The corpora that teachers score: each task's dev and train, and the stage-1 corpora.

        Dev sets come first: a teacher that has learned nothing stops the run before it scores the others.
        """
        collected = [name for name in self.recipe.collect if self.only is None or name in self.only.collected]
        return [f"{task}/{split}" for split in ("dev", "train") for task in self.recipe.tasks] + collected

    def scorers(self, corpus: str) -> list[str]:
        """The teachers that score a corpus in this run."""
        return [name for name in declared(self.recipe, corpus) if name in self.teachers]

    def corpus(self, corpus: str) -> Corpus:
        """A corpus that is collected."""
        self.bring(self.corpus_artifact(corpus))
        return Corpus.open(self.corpus_folder(corpus))

    def column(self, corpus: str, teacher: str) -> TeacherColumn:
        """Logits of a finished teacher for a corpus: name, digest and folder."""
        folder = self.soft_folder(corpus, teacher)
        self.bring(folder)
        return TeacherColumn(teacher, sealed(self.teacher_folder(teacher)).digest, folder)

    def scored(self, corpus: str, names: tuple[str, ...] = ()) -> list[TeacherColumn]:
        """Logits of a corpus that are there: of these teachers, or of all.

        Raises: UsageError for a corpus or teacher that the recipe has not; TmkdError for what is not scored yet.
        """
        if corpus not in self.corpora():
            raise UsageError(
                f"the recipe has no corpus '{corpus}' that teachers score; {did_you_mean(corpus, self.corpora())}"
            )
        known = declared(self.recipe, corpus)
        for name in names:
            if name not in known:
                raise UsageError(f"no teacher '{name}' scores {corpus}; {did_you_mean(name, known)}")
        done = [name for name in names or known if read_manifest(self.soft_folder(corpus, name)) is not None]
        if not done or (names and len(done) < len(names)):
            lacking = next((name for name in names if name not in done), "any teacher")
            raise TmkdError(f"{corpus} is not scored by {lacking} yet; run tmkd score first")
        return [self.column(corpus, name) for name in done]

    def placed_rows(self) -> Iterator[tuple[str, str, int]]:
        """Every (row, task, students' seed) that is made."""
        for placed in placed_rows(self.recipe, self.teachers_seed):
            if self.only is None or placed in self.only.rows:
                yield placed.row, placed.task, placed.seed

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that are made."""
        return tuple(dict.fromkeys(row for row, _, _ in self.placed_rows()))

    def row_students(self, row: str, task: str, seed: int) -> list[tuple[Path, tuple[PlannedStage, ...]]]:
        """The students of one row: folder of the last stage, and the planned stages.

        Raises: NotYet when the row asks for the best teacher and some have not scored dev.
        """
        student = self.student_of(row)
        planned = members(self.recipe, row, self.recipe.rows[row], task, partial(best, self.recipe, self.soft_folder))
        chains = [tuple(replace(stage, student=student) for stage in chain) for chain in planned]
        return [(self.student_folder(chain, seed), chain) for chain in chains]
