"""HTML pages from the Jinja2 templates in templates/: one self-contained file each, every value escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from tmkd.report import formatting
from tmkd.store import write_atomic

_FORMATS = ("NONE", "percent", "share", "integer", "millions", "megabytes", "rate", "factor", "duration")


def write_page(
    path: Path, template: str, title: str, command: str, name: str, facts: Sequence[tuple[str, str]], **values: object
) -> None:
    """Write a page that loads nothing, runs no script, and follows the light or dark theme.

    `command`, `name` and `facts` (name, value) fill the page's head, `values` the rest of the template.
    Raises: TmkdError when the disk is full.
    """
    values |= {"title": title, "command": command, "name": name, "facts": facts}
    page = _environment().get_template(template).render(values)
    write_atomic(path, page.encode("utf-8", "replace"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tmkd.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {name: getattr(formatting, name) for name in _FORMATS}
    environment.globals["is_web_address"] = is_web_address
    return environment


def is_web_address(url: str) -> bool:
    """True for http and https addresses with a host: only these become links."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, e.g. an open bracket
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
