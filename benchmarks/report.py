"""Writes the results as Markdown tables and one plot."""

from collections.abc import Sequence
from html import escape

from benchmarks.figures import TARGETS, UNITS, Record, Records, Round, medians
from benchmarks.loads import LOADS

BEGIN, END = "<!-- results: written by `make bench` -->", "<!-- end of results -->"

_BAR, _LEFT, _WIDTH = 22, 150, 420


def tables(records: Records) -> str:
    """All results as Markdown: the targets first, then each load."""
    parts = [_targets(records)]
    parts += [_load(name, records[name]) for name in LOADS if name in records]
    return "\n\n".join(parts)


def _targets(records: Records) -> str:
    rows = []
    for target in TARGETS:
        if target.load in records:
            value = target.value(records[target.load].rounds)
            sign = "≥" if target.at_least else "≤"
            reached = "yes" if target.reached(value) else "**no**"
            rows.append([target.load, target.title, number(value), f"{sign} {target.limit:g}", reached])
    return _table(["load", "figure", "measured", "target", "reached"], rows)


def _load(name: str, record: Record) -> str:
    middle = medians(record.rounds)
    figures = [figure for figure in UNITS if any(figure in values for values in middle.values())]
    labels = {contender.name: contender.label for contender in LOADS[name].contenders}
    rows = [
        [labels[who], *(number(values[figure]) if figure in values else "" for figure in figures)]
        for who, values in middle.items()
    ]
    table = _table(["", *(UNITS[figure] for figure in figures)], rows)
    return f"### {LOADS[name].title}\n\n{record.about}\n\n{table}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )


def number(value: float) -> str:
    """The number with three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def into_page(page: str, text: str) -> str:
    """The page with the text between its markers replaced."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def plot(rounds: Sequence[Round]) -> str:
    """An SVG of the paced load: processor time per event and memory per stream, one bar for each contender."""
    middle = medians(rounds)
    labels = {contender.name: contender.label for contender in LOADS["paced"].contenders}
    body, top = "", 0
    for title, figure in (("CPU, µs per event", "us_per_event"), ("memory per live stream, KiB", "kib_per_stream")):
        bars = [(labels[who], values[figure], who in ("text", "events")) for who, values in middle.items()]
        body += _bars(title, bars, top)
        top += _BAR * (len(bars) + 2)
    width = _LEFT + _WIDTH + 80
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" font-family="sans-serif" font-size="13">'
        f'\n<rect width="{width}" height="{top}" fill="#fff"/>\n{body}</svg>\n'
    )


def _bars(title: str, bars: Sequence[tuple[str, float, bool]], top: int) -> str:
    longest = max(value for _, value, _ in bars)
    lines = [f'<text x="10" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for row, (label, value, ours) in enumerate(bars, 1):
        y = top + row * _BAR
        length = max(1, round(value / longest * _WIDTH))
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{y + 6}" width="{length}" height="15" fill="{"#0b6e4f" if ours else "#9aa5b1"}"/>',
            f'<text x="{_LEFT + length + 6}" y="{y + 18}">{number(value)}</text>',
        ]
    return "".join(f"{line}\n" for line in lines)
