"""The paper's numbers (§1, §4, §5), and which rows of recipes stand for its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tmkd.evaluate.results import Kind

Corpora = Literal["one", "base", "both"]  # one stage-1 corpus; of two the base one alone, or both, have rows


class PaperSet(NamedTuple):
    """Data set of the paper: the recipes' tasks that stand for it, and its sizes and mean words as Table 3 has them.

    `averaged` names the test sets whose mean the accuracy is, where there are several.
    """

    name: str
    tasks: tuple[str, ...]
    sizes: tuple[tuple[str, str], ...]  # pairs of train/test, or of each corpus with its name
    question_words: float
    answer_words: float
    averaged: tuple[str, ...] = ()


class Model(NamedTuple):
    """Row of a table: its name in the paper, and its row in `recipes/paper.yaml`.

    `one_corpus` is its row in recipes without a large stage-1 corpus, where the paper's base and large are one, `base`
    its row where none was trained on the large one. A teacher is the best one by dev, whatever its name.
    """

    name: str
    row: str
    one_corpus: str = ""
    kind: Kind = "student"
    base: str = ""


class PaperRow(NamedTuple):
    """Accuracy (%) of a model on each of a table's data sets; none where the paper only draws it."""

    model: Model
    accuracies: tuple[float, ...] = ()
    pairs_per_second: float | None = None
    parameters: float | None = None  # millions


class PaperTable(NamedTuple):
    """Table or figure of accuracies, and the differences (row, other) that its text is about."""

    name: str
    title: str
    section: str
    rows: tuple[PaperRow, ...]
    differences: tuple[tuple[Model, Model], ...]
    sets: tuple[PaperSet, ...]
    remark: str = ""


class Shape(NamedTuple):
    """Line of Table 2: a model's parameters in millions and pairs/s on a 1080Ti; its latency in ms is their inverse."""

    name: str
    parameters: int
    pairs_per_second: int
    latency: float


SHAPES = (Shape("BERT-base", 110, 624, 1.6), Shape("BERT-large", 340, 192, 5.2))

DEEPQA = PaperSet("DeepQA", ("deepqa", "webqa"), (("1M / 10K", ""),), 5.86, 43.74)
MNLI = PaperSet("MNLI", ("mnli",), (("392.70K / 19.64K", ""),), 20.52, 10.90, ("matched", "mismatched"))
SNLI = PaperSet("SNLI", ("snli",), (("549.36K / 9.84K", ""),), 13.80, 10.90)
QNLI = PaperSet("QNLI", ("qnli",), (("108.43K / 5.73K", ""),), 9.93, 28.07)
RTE = PaperSet("RTE", ("rte",), (("2.49K / 0.27K", ""),), 45.30, 9.77)
COMMQA = PaperSet("CommQA-Labeled", ("commqa",), (("12M / 2.49K", ""),), 5.81, 45.70)
UNLABELLED = PaperSet("CommQA-Unlabeled", (), (("4M", "base"), ("40M", "large"), ("0.1B", "extreme")), 6.31, 42.70)
PUBLIC = (DEEPQA, MNLI, SNLI, QNLI, RTE)
TABLE_3 = (DEEPQA, UNLABELLED, COMMQA, MNLI, SNLI, QNLI, RTE)

BERT_3 = Model("BERT-3", "bert-3")
TEACHER = Model("BERT-large", "", kind="teacher")
ENSEMBLE = Model("BERT-large ensemble", "ensemble", kind="ensemble")
LSTM_KD = Model("Bi-LSTM (1-o-1)", "bi-lstm-1-o-1")
LSTM_AVERAGE = Model("Bi-LSTM (1avg-o-1)", "bi-lstm-1avg-o-1")
LSTM_M_O_M = Model("Bi-LSTM (m-o-m)", "bi-lstm-m-o-m")
LSTM_TMKD = Model("Bi-LSTM (TMKD base)", "bi-lstm-tmkd-base", "bi-lstm-tmkd")
LSTM_TKD = Model("Bi-LSTM (TKD base (1-o-1))", "bi-lstm-tkd-base", "bi-lstm-tkd")
LSTM_TKD_AVERAGE = Model("Bi-LSTM (TKD base (1avg-o-1))", "bi-lstm-tkd-base-avg", "bi-lstm-tkd-avg")
KD = Model("BERT-3 (1-o-1)", "1-o-1")
KD_AVERAGE = Model("BERT-3 (1avg-o-1)", "1avg-o-1")
M_O_M = Model("BERT-3 (m-o-m)", "m-o-m")
MKD = Model("MKD", "mkd")
TKD = Model("TKD", "tkd", base="tkd-base")
TKD_BASE = Model("TKD base (1-o-1)", "tkd-base", "tkd")
TKD_BASE_AVERAGE = Model("TKD base (1avg-o-1)", "tkd-base-avg", "tkd-avg")
TMKD_BASE = Model("TMKD base", "tmkd-base", "tmkd")
TMKD_LARGE = Model("TMKD large", "tmkd-large")
TMKD = Model("TMKD", "tmkd-large", "tmkd", base="tmkd-base")
KD_EXTREME = Model("KD", "kd-extreme")
MKD_EXTREME = Model("MKD", "mkd-extreme")
TMKD_EXTREME = Model("TMKD", "tmkd-extreme")
LAYERS_1 = Model("1 layer", "tmkd-base-1", "tmkd-1")
LAYERS_3 = Model("3 layers", "tmkd-base", "tmkd")
LAYERS_5 = Model("5 layers", "tmkd-base-5", "tmkd-5")
ALPHAS = {
    alpha: LAYERS_3._replace(name=f"α = {alpha}")
    if alpha == 0.9
    else Model(f"α = {alpha}", f"alpha-{10 * alpha:02.0f}")
    for alpha in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
}

_KD = (77.35, 71.07, 78.62, 77.65, 55.23)
_KD_AVERAGE = (77.63, 70.63, 78.64, 78.20, 58.12)
_MKD = (78.21, 71.98, 78.80, 77.80, 59.92)
_TKD = (80.12, 72.34, 78.23, 85.89, 67.35)
_LSTM_TMKD = (74.73, 61.68, 71.71, 69.99, 62.74)
_TMKD_BASE = (79.93, 71.29, 78.35, 83.53, 66.64)
_TMKD_LARGE = (80.43, 73.93, 79.48, 86.44, 67.50)

TABLE_4 = PaperTable(
    "Table 4",
    "TMKD and the baselines",
    "§4.5",
    (
        PaperRow(BERT_3, (75.78, 70.77, 77.75, 78.51, 57.42), 207, 50.44),
        PaperRow(TEACHER, (81.47, 79.10, 80.90, 90.30, 68.23), 16, 333.58),
        PaperRow(ENSEMBLE, (81.66, 79.57, 81.39, 90.91, 70.75), 16 / 3, 3 * 333.58),
        PaperRow(LSTM_KD, (71.69, 59.39, 69.59, 69.12, 56.31), 207, 50.44),
        PaperRow(LSTM_AVERAGE, (71.93, 59.60, 70.04, 69.53, 57.35), 207, 50.44),
        PaperRow(LSTM_M_O_M, (72.04, 61.71, 72.89, 69.89, 58.12), 207 / 3, 3 * 50.44),
        PaperRow(KD, _KD, 217, 45.69),
        PaperRow(KD_AVERAGE, _KD_AVERAGE, 217, 45.69),
        PaperRow(M_O_M, (77.44, 71.28, 78.71, 77.90, 57.40), 217 / 3, 3 * 45.69),
        PaperRow(LSTM_TMKD, _LSTM_TMKD, 207, 50.45),
        PaperRow(TMKD_BASE, _TMKD_BASE, 217, 45.70),
        PaperRow(TMKD_LARGE, _TMKD_LARGE, 217, 45.70),
    ),
    (
        *((TMKD_BASE, other) for other in (BERT_3, KD, KD_AVERAGE, M_O_M, TEACHER)),
        *((TMKD_LARGE, other) for other in (BERT_3, KD, TMKD_BASE, TEACHER)),
        *((LSTM_TMKD, other) for other in (LSTM_KD, LSTM_AVERAGE, LSTM_M_O_M)),
        (KD, BERT_3),
        (ENSEMBLE, TEACHER),
    ),
    PUBLIC,
    "The paper gives BERT-3 without teachers the speed and size of its Bi-LSTM, which is a slip: it is as large and as "
    "fast as BERT-3 (1-o-1).",
)
TABLE_5 = PaperTable(
    "Table 5",
    "What stage 1 gives",
    "§5.1.1",
    (PaperRow(KD, _KD), PaperRow(TKD, _TKD)),
    ((TKD, KD),),
    PUBLIC,
    "TKD learns from one teacher in both stages, in the paper on the large corpus.",
)
TABLE_6 = PaperTable(
    "Table 6",
    "Several teachers against their average, without stage 1",
    "§5.1.2",
    (PaperRow(KD_AVERAGE, _KD_AVERAGE), PaperRow(MKD, _MKD)),
    ((MKD, KD_AVERAGE),),
    PUBLIC,
)
FIGURE_2 = PaperTable(
    "Figure 2",
    "TKD, MKD and TMKD",
    "§5.1.3",
    (PaperRow(TKD, _TKD), PaperRow(MKD, _MKD), PaperRow(TMKD, _TMKD_LARGE)),
    ((TMKD, TKD), (TMKD, MKD)),
    PUBLIC,
    "The paper prints no numbers in this figure; these are of its Tables 4 (TMKD large), 5 and 6.",
)
TABLE_7 = PaperTable(
    "Table 7",
    "Several teachers against one and their average, with stage 1",
    "§5.1.4",
    (
        PaperRow(LSTM_TKD, (74.26, 61.43, 71.54, 69.2, 59.56)),
        PaperRow(LSTM_TKD_AVERAGE, (74.38, 61.55, 71.7, 69.08, 61.01)),
        PaperRow(LSTM_TMKD, _LSTM_TMKD),
        PaperRow(TKD_BASE, (79.5, 71.07, 77.66, 82.79, 63.89)),
        PaperRow(TKD_BASE_AVERAGE, (79.73, 71.21, 77.70, 83.40, 67.10)),
        PaperRow(TMKD_BASE, _TMKD_BASE),
    ),
    (
        (LSTM_TMKD, LSTM_TKD),
        (LSTM_TMKD, LSTM_TKD_AVERAGE),
        (LSTM_TKD_AVERAGE, LSTM_TKD),
        (TMKD_BASE, TKD_BASE),
        (TMKD_BASE, TKD_BASE_AVERAGE),
        (TKD_BASE_AVERAGE, TKD_BASE),
    ),
    PUBLIC,
)
TABLE_8 = PaperTable(
    "Table 8",
    "Four teachers, the largest corpus",
    "§5.2",
    (
        PaperRow(TEACHER, (77.00,)),
        PaperRow(KD_EXTREME, (73.22,)),
        PaperRow(MKD_EXTREME, (77.32,)),
        PaperRow(TMKD_EXTREME, (79.22,)),
    ),
    tuple((TMKD_EXTREME, other) for other in (TEACHER, KD_EXTREME, MKD_EXTREME)),
    (COMMQA,),
)
TABLE_9 = PaperTable(
    "Table 9",
    "Layers of TMKD base",
    "§5.3",
    (
        PaperRow(LAYERS_1, (74.59, 61.23, 70.21, 70.60, 54.51), 511),
        PaperRow(LAYERS_3, (78.46, 71.13, 77.67, 82.04, 65.70), 217),
        PaperRow(LAYERS_5, (79.54, 72.76, 78.20, 84.94, 66.07), 141),
    ),
    ((LAYERS_3, LAYERS_1), (LAYERS_5, LAYERS_3)),
    PUBLIC,
    "Three layers are below TMKD base in the paper's Table 4; the paper does not say why.",
)
FIGURE_3 = PaperTable(
    "Figure 3",
    "α, the weight of the soft labels in stage 2",
    "§5.4",
    tuple(PaperRow(model) for model in ALPHAS.values()),
    tuple((ALPHAS[0.9], model) for alpha, model in ALPHAS.items() if alpha != 0.9),
    PUBLIC,
    "The paper prints no numbers in this figure. It finds that the larger α is, the better, but for 1.0.",
)
TABLES = (TABLE_4, TABLE_5, TABLE_6, FIGURE_2, TABLE_7, TABLE_8, TABLE_9, FIGURE_3)


OF_LARGE = frozenset({TKD.row, TMKD_LARGE.row})  # trained on the large corpus, where there are two
# Rows that only a recipe with two corpora has.
OF_TWO_CORPORA = frozenset(
    row.model.row for table in TABLES for row in table.rows if row.model.one_corpus not in ("", row.model.row)
) | {TMKD_LARGE.row}


def known_rows(corpora: Corpora) -> Iterator[str]:
    """Rows of recipes that stand for a row of the paper."""
    for table in TABLES:
        for row in table.rows:
            yield row_name(row.model, corpora)


def row_name(model: Model, corpora: Corpora) -> str:
    """A model's row in recipes."""
    return {"one": model.one_corpus, "base": model.base, "both": ""}[corpora] or model.row
