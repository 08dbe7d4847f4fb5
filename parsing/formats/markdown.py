"""Reads Markdown: the unchanged source, split at its headings."""

import re

from domain.documents import Parsed
from parsing.limits import MAX_TITLE, ParseLimits
from parsing.outline import Outline, shortened

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]\s|$)|\s{4}")
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]*>|\{#[^}]*\}|[*`]+|(?<!\w)_+|_+(?!\w)")
_FRONT_TITLE = re.compile(r"""(?m)^title:[ \t]*["']?(.*?)["']?[ \t]*$""")


def read_markdown(text: str, limits: ParseLimits) -> Parsed:
    """The document's sections, one for each heading, `#` or underlined. A line inside fences is never a heading."""
    outline = Outline(limits)
    lines = text.split("\n")
    body: list[str] = []
    title = None
    if lines[0] == "---" and "---" in lines[1:200]:
        end = lines.index("---", 1) + 1
        front = "\n".join(lines[:end])
        named = _FRONT_TITLE.search(front)
        title = shortened(named[1], MAX_TITLE) if named else None
        outline.text(front)
        lines = lines[end:]

    def heading(level: int, words: str, shown: str) -> None:
        outline.text("\n".join(body))
        body.clear()
        outline.heading(level, _MARKUP.sub(r"\1", words[: 4 * MAX_TITLE]), shown)

    fence = ""
    for line in lines:
        opened = _FENCE.match(line)
        if fence:
            body.append(line)
            if opened and opened[1].startswith(fence) and not line.strip(" \t" + fence[0]):
                fence = ""
        elif opened and "`" not in line[opened.end() :]:
            fence = opened[1]
            body.append(line)
        elif found := _HEADING.match(line):
            heading(len(found[1]), line[found.end() :].rstrip(" \t#"), line)
        elif (found := _UNDERLINE.match(line)) and _is_heading(body):
            words = body.pop()
            heading(1 if found[1][0] == "=" else 2, words, f"{words}\n{line}")
        else:
            body.append(line)
    outline.text("\n".join(body))
    sections = outline.sections()
    return Parsed("text/markdown", sections, title or shortened(outline.first_heading or "", MAX_TITLE) or None)


def _is_heading(body: list[str]) -> bool:
    """Whether a line of dashes makes the last line a heading: that line must be a paragraph by itself."""
    return bool(body) and not _NO_PARAGRAPH.match(body[-1]) and (len(body) < 2 or not body[-2].strip())
