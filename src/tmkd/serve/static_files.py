"""Files of the page, read once from the package: no path from outside reaches the file system."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
}


def page_files() -> dict[str, Response]:
    """Path → reply of each file of the page; the page itself at `/`."""
    folder = files("tmkd.serve") / "page"
    found = {}
    for name, kind in _TYPES.items():
        if (folder / name).is_file():
            path = "/" if name == "index.html" else f"/{name}"
            found[path] = Response((folder / name).read_bytes(), media_type=kind, headers=_HEADERS)
    return found
