"""Write docs/cli.md from the command line itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from tmkd.cli.app import app

_KINDS = (ArgumentInfo, OptionInfo)
PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
<!-- Made by docs/make_cli.py from src/tmkd/cli/app.py: change it there, then run `make docs`. -->
# The command line

{help}

Results go to stdout; progress and messages go to stderr. Exit code 0: done; 1: a failure, told in a line or two; 2:
wrong usage or a wrong recipe; 130: interrupted with Ctrl-C. After a failure, an interruption or a `kill -9`, the same
command goes on from where the work stood.
"""


def page() -> str:
    """The whole page: one section per verb, in the order of cli/app.py."""
    verbs = [info.callback for info in app.registered_commands if info.callback is not None]
    rows = [f"| [`tmkd {verb.__name__}`](#tmkd-{verb.__name__}) | {_first_line(verb)} |" for verb in verbs]
    return "\n".join([HEAD.format(help=app.info.help), "| | |", "|---|---|", *rows, "", *map(_verb, verbs)])


def _first_line(callback: Callable[..., Any]) -> str:
    return (inspect.getdoc(callback) or "").partition("\n")[0]


def _verb(callback: Callable[..., Any]) -> str:
    """A verb's section: what it does, how it is called, and its options."""
    hints = get_type_hints(callback, include_extras=True)
    signature = inspect.signature(callback).parameters
    arguments, options = [], []
    for name, hint in hints.items():
        info = next((data for data in getattr(hint, "__metadata__", ()) if isinstance(data, _KINDS)), None)
        if isinstance(info, ArgumentInfo):
            arguments.append((name.upper(), info.help or ""))
        elif isinstance(info, OptionInfo):
            options.append((_option(name, hint, info), _told(info.help or "", signature[name].default)))
    name = callback.__name__
    usage = " ".join(["tmkd", name, *(word for word, _ in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{word}` | {_dotted(told)} |" for word, told in [*arguments, *options]]
    return "\n".join(
        [f"## tmkd {name}", "", inspect.getdoc(callback) or "", "", f"```\n{usage}\n```", ""]
        + (["| | |", "|---|---|", *rows, ""] if rows else [])
    )


def _option(name: str, hint: Any, info: OptionInfo) -> str:
    # In Annotated form typer keeps the first name given in the place of the default.
    given = [word for word in (info.default, *(info.param_decls or ())) if str(word).startswith("--")]
    word = given[0] if given else f"--{name.replace('_', '-')}"
    kind = hint.__origin__
    value = info.metavar or ("" if kind is bool else getattr(kind, "__name__", "value").upper())
    return f"{word} {value}".strip()


def _told(text: str, default: Any) -> str:
    return text if default in (None, False, inspect.Parameter.empty) else f"{text} Default: `{default}`."


def _dotted(text: str) -> str:
    """Keys of a recipe, as rows.tmkd.stages.1.alpha=0.3, in code letters."""
    return re.sub(r"(?<![`\w])(\w+(?:\.\w+)+=\S*\w)", r"`\1`", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
