"""Write docs/page.png: the page of a running server, with the answers to a question.

`make serve`, and in another terminal `.venv/bin/python docs/make_picture.py "jet lag worse flying east"`. The extra
`browser` and Chromium on PATH are needed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("page.png")
SIZE = {"width": 880, "height": 700}


def write_picture(address: str, question: str) -> None:
    """Write the picture of the page that answers a question; raises playwright's errors where it does not."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5, color_scheme="light")
        page.goto(f"{address}?q={quote(question)}")
        page.wait_for_selector("#answers li")
        page.wait_for_selector("#model:not(:empty)", state="attached")
        page.screenshot(path=PICTURE, full_page=True, animations="disabled")
        browser.close()


if __name__ == "__main__":
    question, *address = sys.argv[1:]
    write_picture(address[0] if address else "http://127.0.0.1:8080/", question)
