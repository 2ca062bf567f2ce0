"""A tokenizer compared with transformers' own reading of its folder, which may differ from its tokenizer.json."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.encoder import quiet

# Capitals, accents composed and not, punctuation, numbers, several scripts, white space, a word unlikely to be known.
PROBES = (
    "Where is Paris, and WHY?",
    "Café crème in São Paulo; cafe\u0301 Über Straße İstanbul",
    "C++ isn't C#: 1,234.56 (+50%) e-mail@x.org/path_to",
    "北京的天空 東京タワー 서울 Москва",
    " two  spaces\tand\na line ",
    "zyxqwv–ﬁne … ½ 😀",
)


def check_ids(folder: Path, tokenizer: PairTokenizer, subject: str) -> None:
    """Compare the ids of made-up texts with those of transformers' AutoTokenizer.

    Folders without tokenizer_config.json, or that AutoTokenizer does not open, are taken by their tokenizer.json alone.
    Raises: TmkdError naming the first text whose ids differ.
    """
    if not (folder / "tokenizer_config.json").is_file():
        return
    try:
        with quiet():
            theirs = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            expected = [theirs(text, add_special_tokens=False)["input_ids"] for text in PROBES]
    except Exception:  # transformers raises nearly every kind, a slow tokenizer's missing package among them
        return
    for text, ids in zip(PROBES, expected, strict=True):
        if tokenizer.tokenizer.encode(text, add_special_tokens=False).ids != ids:
            raise TmkdError(
                f"{subject}: its tokenizer.json gives {text!r} other token ids than transformers does by "
                "tokenizer_config.json, with which the model was trained; save the tokenizer again with transformers"
            )
