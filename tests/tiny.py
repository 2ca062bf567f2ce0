"""A tiny world on disk: random encoders of width 16, learnable pairs, documents, and a recipe of every kind of row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tmkd.flow.run_folder import RunFolder

_NAMES = """moon sun star comet planet river lake sea rain snow ice wind cloud storm hill valley forest tree leaf root
flower bee ant spider cat dog horse cow goat sheep bread milk cheese apple pear plum onion carrot bean rice salt sugar
tea coffee chair table lamp door window roof wall floor brick road bridge train boat bicycle wheel engine clock"""
TOPICS = tuple(_NAMES.split())
ASKED = ("what is the {}", "why the {}", "how old is the {}", "where is the {}")
ANSWERS = ("the {} is made of {} because of the {} .", "the {} is known because it is a {} with {} .")
OFFERS = ("buy the {} now with {} and {} .", "the {} shop sells {} and {} now .")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "##s", *TOPICS, *sorted(
    {word for text in (*ASKED, *ANSWERS, *OFFERS) for word in text.replace("{}", "").replace(".", "").split()}
))  # fmt: skip
FIT = {"learning_rate": 1.0e-2, "batch": 8, "epochs": 5, "dropout": 0.0, "checkpoint_steps": 4}
YARDSTICKS = ("bm25", "cosine (bert)")
TEACHERS = ("t1", "t2")
ROWS = ("bert-3", "1-o-1", "1avg-o-1", "m-o-m", "tkd", "mkd", "tmkd")


@dataclass(frozen=True)
class World:
    """A recipe file and the folder of its runs."""

    recipe: Path

    @property
    def runs(self) -> Path:
        return self.recipe.parent / "runs"

    @property
    def run(self) -> Path:
        return self.runs / "tiny"

    @property
    def data(self) -> Path:
        return self.recipe.parent / "data"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


def question(topic: int) -> str:
    """The question asked about a topic."""
    return ASKED[topic % len(ASKED)].format(TOPICS[topic])


def passage(topic: int, answers: bool) -> str:
    """A passage on a topic, one of its own; what makes it an answer can be seen from its words."""
    form = (ANSWERS if answers else OFFERS)[topic % 2]
    return form.format(TOPICS[topic], TOPICS[(topic * 7 + 3) % len(TOPICS)], TOPICS[(topic * 5 + 1) % len(TOPICS)])


def pairs(topics: Sequence[int]) -> list[tuple[str, str, str]]:
    """Two labelled pairs a topic: (question, passage, label)."""
    return [
        (question(topic), passage(topic, good), "yes" if good else "no") for topic in topics for good in (True, False)
    ]


def write_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a TSV file."""
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))


def new_file(path: Path, header: Sequence[str] = ("question", "passage", "label")) -> Path:
    """A labelled file from outside: pairs on a topic of train, one of dev, and two of the stage-1 corpus."""
    write_tsv(path, header, pairs([0, 20, 40, 41]))
    return path


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer over WORDS, as BERT's, beside a model."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "cls_token": "[CLS]", "sep_token": "[SEP]"}))


def write_encoder(folder: Path, seed: int = 7, width: int = 16) -> Path:
    """A BERT of random weights as a normal pretrained folder: two layers."""
    import torch
    from transformers import BertConfig, BertModel

    from tmkd.network.encoder import quiet

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    with quiet():
        BertModel(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def recipe() -> dict[str, Any]:
    """The recipe as plain values: two fine-tuned teachers, an imported one for stage 1, every kind of row."""
    teacher = {"task": "toy", "base": "bert", "max_length": 48, "fit": FIT}
    finetune = {"corpus": "task", "alpha": 0.5, "fit": FIT}
    pretrain = {"corpus": "web", "alpha": 1.0, "fit": {**FIT, "epochs": 1}}
    scores = {"file": "scores.tsv"}
    best = {"teachers": "best"}
    return {
        "name": "tiny",
        "data": "data",
        "device": "cpu",
        "precision": "fp32",
        "pretrained": {"bert": {"folder": "bert"}},
        "tasks": {"toy": {"train": "train.tsv", "dev": "dev.tsv", "tests": {"test": "test.tsv"}}},
        "collect": {"web": {"task": "toy", "documents": "documents.jsonl", "questions": "questions.txt", "top": 4}},
        "teachers": {
            "t1": {**teacher, "seed": 1},
            "t2": {**teacher, "seed": 2, "fit": {**FIT, "learning_rate": 7.0e-3}},
            "judge": {"task": "toy", "file": scores, "imported": "probability", "scores": ["web"]},
        },
        "student": {"base": "bert", "layers": 1, "max_length": 48},
        "stages": {"pretrain": pretrain, "finetune": finetune},
        "rows": {
            "bert-3": {"stages": [{"use": "finetune", "teachers": [], "alpha": 0.0}]},
            "1-o-1": {"stages": [{"use": "finetune", **best}]},
            "1avg-o-1": {"stages": [{"use": "finetune", "average": True}]},
            "m-o-m": {"each_teacher": True, "stages": [{"use": "finetune", "teachers": "each"}]},
            "tkd": {"stages": [{"use": "pretrain", **best}, {"use": "finetune", **best}]},
            "mkd": {"stages": [{"use": "finetune"}]},
            "tmkd": {"stages": [{"use": "pretrain"}, {"use": "finetune"}]},
        },
        "evaluate": {"batch": 4, "pairs": 8, "repeats": 1},
    }  # fmt: skip


def write_data(folder: Path) -> None:
    """60 labelled pairs on 30 topics in train, dev and test; 30 questions and 15 documents on the others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, topics in (("train", range(18)), ("dev", range(18, 24)), ("test", range(24, 30))):
        write_tsv(folder / f"{name}.tsv", ("question", "passage", "label"), pairs(topics))
    others = range(30, 60)
    (folder / "questions.txt").write_text("".join(question(topic) + "\n" for topic in others))
    documents = []
    for number, topic in enumerate(range(30, 60, 2)):
        paragraphs = [passage(topic, True), passage(topic + 1, False)]
        documents.append(
            {"url": f"https://tiny.example/{number}", "title": TOPICS[topic], "text": "\n\n".join(paragraphs)}
        )
    (folder / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    found = [(passage(topic, topic % 2 == 0), topic % 2 == 0) for topic in others]
    scores = [(question(topic), text, 0.9 if good else 0.2) for topic in others for text, good in found]
    write_tsv(folder / "scores.tsv", ("question", "passage", "score"), scores)


def write_recipe(path: Path, values: dict[str, Any] | None = None) -> Path:
    """Write a recipe as YAML."""
    path.write_text(yaml.safe_dump(values or recipe(), sort_keys=False))
    return path


def write_world(folder: Path) -> Path:
    """Write encoder, data and recipe; returns the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(folder / "bert")
    write_data(folder / "data")
    return write_recipe(folder / "tiny.yaml")


def change(path: Path, dotted: str, value: Any) -> None:
    """Change one value of a recipe file; None takes the key out."""
    values = yaml.safe_load(path.read_text())
    *parents, last = dotted.split(".")
    place = values
    for key in parents:
        place = place.setdefault(key, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    write_recipe(path, values)


def command(*words: object) -> list[str]:
    """The command line of one call of tmkd."""
    return [sys.executable, "-m", "tmkd", *map(str, words)]


# Kills its own process when the n-th file (of some name) is about to be put into its place.
KILLED_AT = """
import os, signal, sys
name, left, put = sys.argv.pop(1), int(sys.argv.pop(1)), os.replace
def replace(source, target, **where):
    global left
    left -= os.path.basename(target) == name or not name
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(source, target, **where)
os.replace = replace
from tmkd.cli.app import main
main()
"""


def environment() -> dict[str, str]:
    """One thread, no network, a wide terminal, and no colours."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


def tmkd(*words: object, killed_at: tuple[str, int] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Call the real command line in a process of its own.

    `killed_at` kills it before the n-th file of some name ("" is any) is put into its place.
    """
    started = command(*words)
    if killed_at is not None:
        started[1:3] = ["-c", KILLED_AT, *map(str, killed_at)]
    return subprocess.run(started, env=environment(), capture_output=True, text=True, timeout=300, **options)


def comparable(report: Path) -> Any:
    """What report.json says, without what differs from run to run: times, speeds, machine and date."""
    return _without(json.loads(report.read_text()))


def _without(value: Any) -> Any:
    passing = {"seconds_to_make", "pairs_per_second", "machine", "date", "timed"}
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items() if key not in passing}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


def opened(world: World, *changes: str) -> RunFolder:
    """The world's run folder, with some changes of the recipe."""
    from tmkd.flow.run_folder import RunFolder
    from tmkd.recipe.reader import read_recipe

    return RunFolder(read_recipe(world.recipe, changes), world.recipe.parent, world.run)
