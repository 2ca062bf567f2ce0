"""Pages from templates: escaped, strict about names, nothing loaded, nothing of Python marked as safe but drawings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import tmkd.report
from html_page import Page
from tmkd.errors import TmkdError
from tmkd.report.html import is_web_address, write_page

TEMPLATES = Path(tmkd.report.__file__).parent / "templates"
EVIL = "<script>alert('x')</script>&\"{{ name }}{% raw %}"


def written(folder: Path, name: str = "demo", **values: object) -> str:
    values = {"columns": ["row"], "rows": [], "caption": "", "drawing": "<svg></svg>"} | values
    write_page(folder / "page.html", "frontier.html", name, name, name, [(name, name)], **values)
    return (folder / "page.html").read_text()


def test_values_are_escaped_and_are_no_templates(tmp_path: Path) -> None:
    page = Page(written(tmp_path, EVIL, columns=[EVIL], caption=EVIL, rows=[{"cells": [EVIL, EVIL], "picked": False}]))
    assert "script" not in page.tags
    assert page.texts.count(EVIL) == 9


def test_a_lone_surrogate_is_replaced(tmp_path: Path) -> None:
    assert "a?b" in written(tmp_path, "a\ud800b")


def test_a_missing_value_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="columns"):
        write_page(tmp_path / "page.html", "frontier.html", "t", "c", "n", [], caption="", rows=[], drawing="")
    assert not (tmp_path / "page.html").exists()


def test_a_missing_folder_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="cannot be written"):
        written(tmp_path / "missing")


def test_only_drawings_are_marked_as_safe() -> None:
    marked = [line.strip() for path in sorted(TEMPLATES.iterdir()) for line in path.read_text().splitlines()
              if re.search(r"\bsafe\b|autoescape", line)]  # fmt: skip
    assert marked == ["<figure><figcaption>{{ caption }}</figcaption>{{ svg | safe }}</figure>"]


def test_a_page_follows_the_theme_and_loads_nothing(tmp_path: Path) -> None:
    html = written(tmp_path)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\((?!#)|\b(src|srcset)=", html)


def test_every_class_of_the_templates_is_in_the_style_sheet() -> None:
    style = (TEMPLATES / "style.css").read_text()
    html = "".join(path.read_text() for path in TEMPLATES.glob("*.html"))
    names = {name for found in re.findall(r'class="([^"{]+?)\s*(?:\{|")', html) for name in found.split()}
    assert {"cards", "plots", "caption", "badge"} <= names
    assert {name for name in names if f".{name}" not in style} == set()


@pytest.mark.parametrize("url", ["http://x.example", "https://x.example/a?b=1#c", "HTTPS://x.example/"])
def test_http_and_https_are_web_addresses(url: str) -> None:
    assert is_web_address(url)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//x.example", "https:", "http://[bad", "data:text/html,x", ""])
def test_other_texts_are_no_web_addresses(url: str) -> None:
    assert not is_web_address(url)
