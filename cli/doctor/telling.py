"""Prints findings: for people, as they come, or for programs, as one JSON object."""

import json
import shutil
import textwrap
from dataclasses import asdict

import click

from cli.doctor.finding import Finding

_MARKS = {"well": "ok", "wrong": "WRONG", "unknown": "?", "skipped": "-"}
_INDENT = " " * 23
_WIDEST = 100


class Teller:
    """Prints one examination. The fields of a finding are those of the JSON."""

    def __init__(self, url: str, *, as_json: bool) -> None:
        self._url = url
        self._json = as_json
        self._found: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """Add a finding, and print it unless the output is JSON."""
        if not self._found and not self._json:
            click.echo(f"{self._url}\n")
        self._found.append(finding)
        if not self._json:
            click.echo(_lines(finding))

    def give_up(self, reason: str) -> None:
        """Report why the URL could not be checked."""
        if self._json:
            self._print(error=reason)
        else:
            click.echo(reason, err=True)

    def close(self) -> int:
        """Print the summary, and return the exit code: 1 if anything is wrong."""
        wrong = sum(finding.verdict == "wrong" for finding in self._found)
        if self._json:
            self._print(error=None)
        elif wrong:
            click.echo(f"\n{'One thing is' if wrong == 1 else f'{wrong} things are'} wrong.")
        else:
            click.echo("\nNothing is wrong.")
        return int(wrong > 0)

    def _print(self, *, error: str | None) -> None:
        checks = [asdict(finding) for finding in self._found]
        healthy = None if error else all(finding.verdict != "wrong" for finding in self._found)
        click.echo(json.dumps({"url": self._url, "healthy": healthy, "error": error, "checks": checks}, indent=2))


def _lines(finding: Finding) -> str:
    """The finding, with what to do below it."""
    width = max(min(shutil.get_terminal_size().columns, _WIDEST), 60)
    head = f"{_MARKS[finding.verdict]:>7}  {finding.check.replace('_', ' '):12}  "
    said = textwrap.fill(finding.said, width, initial_indent=head, subsequent_indent=_INDENT)
    todo = [
        textwrap.fill(each, width, initial_indent=f"{_INDENT}- ", subsequent_indent=f"{_INDENT}  ")
        for each in finding.advice
    ]
    return "\n".join([said, *todo])
