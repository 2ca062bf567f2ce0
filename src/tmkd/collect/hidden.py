"""Hidden elements of a page: text that a reader can open is shown under its heading, the rest is named for removal."""

from __future__ import annotations

import re

from tmkd.collect.markup import HtmlElement

_HIDING_STYLE = re.compile(r"(?:display:\s*none|visibility:\s*(?:hidden|collapse)|content-visibility:\s*hidden)", re.I)
_FOLDING_STYLE = re.compile(r"(?:^|[;\s])(?:(?:max-)?height:\s*0|overflow(?:-y)?:\s*hidden)", re.I)  # no sign of junk
_FOLDING_CLASS = re.compile(r"(?:^|\s)(?:is-)?(?:hidden|hide|d-none|closed|collapsed?|folded|invisible)(?:\s|$)", re.I)
# Parts of a page that may open but hold none of its text.
_OTHER_ROLES = frozenset(
    "dialog alertdialog alert menu menubar listbox tooltip navigation search banner none img".split()  # noqa: SIM905
)
_OTHER_TAGS = frozenset("nav form dialog template script style noscript header footer".split())  # noqa: SIM905
_OTHER_CLASS = re.compile(
    r"modal|dialog|lightbox|menu|nav(?:bar|box|igation)|tooltip|pop-?(?:up|over)|cookie|consent|overlay|search|login"
    r"|toast|sr-only|visually-?hidden|template|newsletter|subscribe|noprint|metadata|share|comment",
    re.I,
)
_OPENED_ROLES = frozenset(("region", "tabpanel", "definition"))
_OPENED_CLASS = re.compile(
    r"accord|collaps|faq|answer|toggle|expand|panel|tab-?(?:content|pane|body)|spoiler|reveal|disclos|(?:read|show)-?more"
    r"|more-?(?:text|content)|question|details",
    re.I,
)
_BLOCKS = frozenset("div section article p ul ol dl dd blockquote pre details aside td main figure".split())  # noqa: SIM905
_HEADINGS = frozenset("h1 h2 h3 h4 h5 h6 summary dt".split())  # noqa: SIM905
_CONTROL = "//*[@aria-controls or @data-target or @data-bs-target or starts-with(@href, '#')]"
_BUTTON_IN_HEADING = (
    "//*[self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6 or self::dt or self::summary]"
    "//*[self::button or @role='button' or @aria-expanded or @data-toggle or @data-bs-toggle]"
)
_BUTTONS = ("button", "label")
_ASKING = frozenset("p div span a strong b li".split())  # noqa: SIM905
_QUESTION_MARKS = frozenset("?？؟፧")
_ATTRIBUTES = ("hidden", "style", "aria-hidden", "class", "role")  # trafilatura drops elements for their values
_MAX_LABEL_CHARACTERS = 300


def unhide(tree: HtmlElement) -> list[HtmlElement]:
    """Show hidden elements that a reader can open, and list the others, each with a heading that would head nothing.

    Opened are answers and panels: hidden="until-found", a region or tab panel, the target of a button or a link, a
    class such as accordion or faq, or what directly follows a heading or a button. A panel that no heading stands
    before gets its button's or tab's text as one, so that it is not read under the heading of the panel before.
    """
    candidates = tree.xpath("//*[@hidden or @style or @aria-hidden or @class or @role]")
    hidden = [(element, _is_hidden(element)) for element in candidates]
    ids = {element.get("id"): element for element in tree.xpath("//*[@id]")}
    controls: dict[str, HtmlElement] = {}
    for control in tree.xpath(_CONTROL):
        for name in _targets(control):
            controls.setdefault(name, control)
    for button in tree.xpath(_BUTTON_IN_HEADING):  # trafilatura drops buttons and their text
        button.tag = "span"
        _strip(button)
    removed: list[HtmlElement] = []
    for element, sure in hidden:
        panel = element.get("role") == "tabpanel"
        if not sure and not panel and not _is_folded(element):
            continue
        heading = _heading_before(element)
        control = controls.get(element.get("id") or " ")
        if control is None:
            control = ids.get(element.get("aria-labelledby") or " ")
        if heading is not None and control is not None and _opens_another(heading, element, ids):
            heading = None
        if _is_openable(element, heading, control):
            _show(element, heading, control)
        elif sure:
            removed.append(element)
            if heading is not None and _ends_section(element):
                removed.append(heading)
    return removed


def _is_hidden(element: HtmlElement) -> bool:
    style = element.get("style")
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or (style is not None and _HIDING_STYLE.search(style) is not None)
    )


def _is_folded(element: HtmlElement) -> bool:
    """True for an element that style sheets or scripts may hide: it is shown or left as it is, never removed."""
    style, names = element.get("style"), element.get("class")
    return (style is not None and _FOLDING_STYLE.search(style) is not None) or (
        names is not None and _FOLDING_CLASS.search(names) is not None
    )


def _is_openable(element: HtmlElement, heading: HtmlElement | None, control: HtmlElement | None) -> bool:
    names = f"{element.get('class', '')} {element.get('id', '')}"
    if (
        element.tag not in _BLOCKS
        or element.get("role") in _OTHER_ROLES
        or element.get("aria-modal") is not None
        or _OTHER_CLASS.search(names)
        or any(isinstance(parent.tag, str) and parent.tag in _OTHER_TAGS for parent in element.xpath("ancestor::*"))
    ):
        return False
    if heading is None and control is None and _is_list_of_headings(element.getprevious()):
        return False  # which of them it belongs to cannot be known
    return (
        element.get("hidden", "").strip().lower() == "until-found"
        or element.get("role") in _OPENED_ROLES
        or heading is not None
        or control is not None
        or _OPENED_CLASS.search(names) is not None
    )


def _show(element: HtmlElement, heading: HtmlElement | None, control: HtmlElement | None) -> None:
    """Remove whatever hides an element, and make what opens it its heading."""
    _strip(element)
    if heading is None and control is not None and not _is_in_heading(control):
        label = " ".join(control.text_content().split())
        if label and len(label) <= _MAX_LABEL_CHARACTERS:
            made = element.makeelement("h3", {})
            made.text, made.tail, element.text = label, element.text, None
            element.insert(0, made)
    elif heading is not None and heading.tag not in _HEADINGS and not _is_in_heading(heading):
        heading.tag = "h3"
        _strip(heading)


def _strip(element: HtmlElement) -> None:
    for name in _ATTRIBUTES:
        element.attrib.pop(name, None)


def _is_in_heading(element: HtmlElement) -> bool:
    return bool(
        element.xpath("ancestor-or-self::*[self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6]")
    )


def _heading_before(element: HtmlElement) -> HtmlElement | None:
    """Heading, <summary>, <dt> or button whose end is directly before an element, on its level or up to two above."""
    at: HtmlElement | None = element
    for _ in range(3):
        assert at is not None
        before = at.getprevious()
        if before is not None:
            return None if (before.tail or "").strip() else _heading_in(before)
        at = at.getparent()
        if at is None or (at.text or "").strip():
            return None
    return None


def _heading_in(element: HtmlElement) -> HtmlElement | None:
    """Element itself or its only content, where that is a heading or a button."""
    for inner in element.xpath("descendant-or-self::*"):
        button = inner.tag in _BUTTONS or inner.get("role") == "button" or inner.get("aria-expanded") is not None
        if inner.tag in _HEADINGS or button:
            own, all_text = inner.text_content().strip(), element.text_content().strip()
            return inner if own and len(all_text) - len(own) <= 3 else None  # an arrow or a sign may stand beside it
    return element if _is_question(element) else None


def _is_question(element: HtmlElement) -> bool:
    """True for a short text that is one question, as many FAQ pages have in a heading's place."""
    text = element.text_content().strip() if element.tag in _ASKING else ""
    return len(text) <= _MAX_LABEL_CHARACTERS and text[-1:] in _QUESTION_MARKS and text.count(text[-1]) == 1


def _is_list_of_headings(element: HtmlElement | None) -> bool:
    """True for several headings without any text between them."""
    texts = [] if element is None else [one.text_content().strip() for one in element.iter(*_HEADINGS)]
    return len(texts) > 1 and element is not None and sum(map(len, texts)) >= len(element.text_content().strip())


def _targets(control: HtmlElement) -> list[str]:
    """Ids of what a button or a link opens."""
    names = ("aria-controls", "data-target", "data-bs-target", "href")
    return [(control.get(name) or "").lstrip("#") for name in names]


def _opens_another(heading: HtmlElement, element: HtmlElement, ids: dict[str, HtmlElement]) -> bool:
    """True where a heading's button opens another element: it stands behind the one, and before the other."""
    opened = [ids[name] for inner in heading.iter() for name in _targets(inner) if name in ids]
    return bool(opened) and element not in opened


def _ends_section(element: HtmlElement) -> bool:
    """True where no text of its own follows an element: the next is a heading or a question, or there is none."""
    if (element.tail or "").strip():
        return False
    following = element.getnext()
    while following is not None and not following.text_content().strip():
        following = following.getnext()
    for inner in [] if following is None else following.iter():
        if inner.tag in _HEADINGS or (inner.text or "").strip():
            return inner.tag in _HEADINGS or _is_question(inner)
    return True
