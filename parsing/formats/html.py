"""Reads HTML: the visible text with its headings, without navigation and the like."""

import re
from typing import Any

from lxml import etree

from domain.documents import Parsed
from parsing.limits import MAX_TITLE, ParseLimits
from parsing.outline import Outline, shortened, too_complex


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


# fmt: off
_UNSEEN = _tags(
    "head", "script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "audio", "video",
    "map", "select", "textarea", "button", "dialog", "input", "datalist", "progress", "meter",
)
_PARAGRAPHS = _tags(
    "p", "ul", "ol", "dl", "table", "pre", "blockquote", "section", "article", "main", "header", "footer", "aside",
    "nav", "figure", "hr", "form", "fieldset", "details", "address", "h1", "h2", "h3", "h4", "h5", "h6", "body",
)
# fmt: on
_LINES = _tags("div", "li", "dt", "dd", "tr", "caption", "figcaption", "summary", "legend", "option", "center")
_AROUND = _tags("nav", "footer", "aside", "menu")
_AROUND_ROLES = _tags("navigation", "banner", "contentinfo", "search", "complementary")
_LEVELS = {f"h{level}": level for level in range(1, 7)}
_PERMALINKS = frozenset(("headerlink", "anchor", "anchorjs-link", "hash-link", "header-anchor"))
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_SPACES = re.compile(r"[ \t\n\r\f\u00a0]+")


def read_html(text: str, limits: ParseLimits) -> Parsed:
    """The page's sections. If the page marks its main part, only that is read. Navigation and the like are read only if
    there is no other text."""
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    if any("depth" in entry.message.lower() for entry in parser.error_log):
        raise too_complex("The HTML is nested too deeply. Flatten it.")
    if root is None:
        return Parsed("text/html", ())
    title = shortened("".join(next(root.iter("title"), etree.Element("title")).itertext()), MAX_TITLE)
    outline = _walked(_main(root), limits, around=False)
    sections = outline.sections()
    if not sections:
        outline = _walked(root, limits, around=True)
        sections = outline.sections()
    return Parsed("text/html", sections, title or outline.first_heading)


def _main(root: Any) -> Any:
    found = [*root.iter("main"), *root.xpath("//*[@role='main']")] or list(root.iter("article"))
    return found[0] if len(found) == 1 or (found and found[0].tag == "main") else root


def _is_unseen(element: Any, around: bool) -> bool:
    tag, get = element.tag, element.get
    if tag in _UNSEEN or get("hidden") is not None or get("aria-hidden") == "true":
        return True
    if tag == "a" and not _PERMALINKS.isdisjoint((get("class") or "").split()):
        return True
    if not around and (tag in _AROUND or get("role") in _AROUND_ROLES):
        return True
    return _HIDING.search(get("style") or "") is not None


def _walked(root: Any, limits: ParseLimits, *, around: bool) -> Outline:
    outline, lines = Outline(limits), _Lines()
    walk = etree.iterwalk(root, events=("start", "end"))
    unseen = pre = 0
    level = 0
    for event, element in walk:
        tag = element.tag
        if event == "start":
            if _is_unseen(element, around) and element is not root:
                unseen += 1
                walk.skip_subtree()
                continue
            if tag in _LEVELS and not level:
                outline.text(lines.taken())
                level = _LEVELS[tag]
            pre += tag == "pre"
            lines.open(tag)
            lines.add(element.text, raw=pre > 0)
            continue
        if unseen and _is_unseen(element, around) and element is not root:
            unseen -= 1  # it was skipped, but its end event comes nevertheless
        else:
            pre -= tag == "pre"
            lines.close(tag)
            if level and _LEVELS.get(tag) == level:
                words = " ".join(lines.taken().split())
                outline.heading(level, words, words)
                level = 0
        if element is not root:
            lines.add(element.tail, raw=pre > 0)
    outline.text(lines.taken())
    return outline


class _Lines:
    """Puts words on lines: runs of white space become one space, and blocks get lines of their own."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._breaks = 0
        self._prefix = ""
        self._fresh = True

    def open(self, tag: str) -> None:
        self._break(tag)
        if tag == "li":
            self._prefix = "- "
        elif tag in ("td", "th") and not self._fresh and not self._breaks:
            self._prefix = " | "

    def close(self, tag: str) -> None:
        self._break(tag)
        if tag == "br":
            self._breaks = max(self._breaks, 1)

    def add(self, text: str | None, *, raw: bool) -> None:
        if not text:
            return
        if not raw:
            text = _SPACES.sub(" ", text)
            if self._fresh or self._breaks or self._prefix or self._pieces[-1].endswith((" ", "\n")):
                text = text.removeprefix(" ")
        if not text:
            return
        if self._breaks and not self._fresh:
            self._pieces.append("\n" * self._breaks)
        self._pieces.append(self._prefix + text)
        self._breaks, self._prefix, self._fresh = 0, "", False

    def taken(self) -> str:
        """Returns all text so far, and starts again with nothing."""
        text = "".join(self._pieces)
        self._pieces, self._breaks, self._prefix, self._fresh = [], 0, "", True
        return re.sub(r" +(?=\n)", "", text)

    def _break(self, tag: str) -> None:
        self._breaks = max(self._breaks, 2 if tag in _PARAGRAPHS else 1 if tag in _LINES else 0)
