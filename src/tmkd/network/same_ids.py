"""A tokenizer compared with transformers' own reading of its folder, which may differ from its tokenizer.json."""

from __future__ import annotations

import json
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
    Raises: TmkdError naming the first text whose ids differ, for other special tokens around a pair, or for other token
    types.
    """
    if not (folder / "tokenizer_config.json").is_file():
        return
    try:
        with quiet():
            theirs = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            expected = [theirs(text, add_special_tokens=False)["input_ids"] for text in PROBES]
            pair = theirs(*PROBES[:2])
    except Exception:  # transformers raises nearly every kind, a slow tokenizer's missing package among them
        return
    for text, ids in zip(PROBES, expected, strict=True):
        if tokenizer.tokenizer.encode(text, add_special_tokens=False).ids != ids:
            raise TmkdError(
                f"{subject}: its tokenizer.json gives {text!r} other token ids than transformers does by "
                "tokenizer_config.json, with which the model was trained; save the tokenizer again with transformers"
            )
    own = tokenizer.tokenizer.encode(*PROBES[:2])
    types = pair.get("token_type_ids")
    if own.ids != pair["input_ids"] or (tokenizer.settings.type_ids and types not in (None, own.type_ids)):
        raise TmkdError(
            f"{subject}: its tokenizer.json puts other special tokens or token types around a pair than "
            "transformers does by tokenizer_config.json; save the tokenizer again with transformers"
        )
    # Without this setting it depends on the version of transformers.
    named = json.loads((folder / "tokenizer_config.json").read_bytes()).get("model_input_names")
    if tokenizer.settings.type_ids and any(own.type_ids) and named and "token_type_ids" not in named:
        raise TmkdError(
            f"{subject}: model_input_names in its tokenizer_config.json has no token_type_ids, but the network has a "
            "type for either text; add them if it was trained so, else give both texts type_id 0 in tokenizer.json"
        )
