"""The command: parses its arguments, prints each finding as it comes, and returns an exit code."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import urlsplit

import click

_KEY = re.compile(r"[!-~]{1,4096}")


@click.command()
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of sentences.")
@click.option("--quick", is_flag=True, help="Leave out the silence, which takes a little longer than STREAM_HEARTBEAT.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Additional certificates (PEM) to trust.")
@click.pass_context
def doctor(context: click.Context, url: str, *, as_json: bool, quick: bool, ca: str | None) -> None:
    """Check what a deployment's proxies do to streams, and say what is wrong.

    URL is what clients call, including any path before /chat. With a key in the environment as STREAMFORGE_KEY, POST
    /chat is checked as well. No model is asked.

    The exit code is 0 if nothing is wrong, 1 if something is, and 2 if URL cannot be checked.
    """
    from cli.doctor.examination import CannotCheckError, examine
    from cli.doctor.telling import Teller

    target = _target(url, ca)
    teller = Teller(target.url, as_json=as_json)

    async def work() -> None:
        async for finding in examine(target, quick=quick):
            teller.tell(finding)

    try:
        asyncio.run(work())
    except CannotCheckError as reason:
        teller.give_up(str(reason))
        context.exit(2)
    context.exit(teller.close())


def _target(url: str, ca: str | None) -> Any:
    """What to check, with which key and certificates; raises a usage error for arguments that cannot be right."""
    from cli.doctor.probing import Target, trust

    try:
        parts = urlsplit(url)
        fits = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        raise click.UsageError("doctor needs a URL like https://chat.example.com, without user, query or fragment.")
    key = os.environ.get("STREAMFORGE_KEY") or None
    if key is not None and not _KEY.fullmatch(key):
        raise click.UsageError("STREAMFORGE_KEY holds a character that no header can carry.")
    return Target(url.rstrip("/"), key, trust(ca) if parts.scheme == "https" else None)
