"""`python main.py keys`: creates, lists and revokes API keys, for operators who can run commands on the server."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from config.settings import Settings
from domain.callers import DEFAULT_SCOPES, ApiKey, valid_scopes
from domain.errors import StreamForgeError
from domain.text import UNWRITABLE
from services.access.api_keys import KeyRepository, make_key
from services.access.secret import SecretError, read_secret

T = TypeVar("T")

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of AUTH_MODE=api_key."""


@keys.command()
@click.option("--owner", required=True, help="The owner whose conversations and documents the key opens.")
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--scope", "scopes", multiple=True, help="What it allows: read, chat, documents, keys, admin, or a model's scope."
)
@click.option("--expires", help="How long it lasts: 90d, 12h or 30m. Without this, until it is revoked.")
@click.pass_obj
def create(settings: Settings, owner: str, name: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Create a key and print it; it is shown only this once."""
    for option, text, most in (("--owner", owner.strip(), 200), ("--name", name, 100)):
        if len(text) > most or UNWRITABLE.search(text) or (option == "--owner" and not text):
            raise click.UsageError(f"{option} takes up to {most} characters.")
    now = time.time()
    try:
        given = settings.AUTH_SECRET.get_secret_value() if settings.AUTH_SECRET else None
        made = make_key(
            read_secret(given, settings.DATA_DIR),
            owner.strip(),
            name=name,
            scopes=valid_scopes(scopes or DEFAULT_SCOPES),
            now=now,
            expires=now + _seconds(expires) if expires else None,
        )
    except SecretError as error:
        raise click.ClickException(f"The key cannot be created: {error}") from None
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    _with_store(settings, lambda store: store.create(made.key))
    if settings.AUTH_MODE != "api_key":
        click.echo("The server does not check keys until AUTH_MODE is api_key.", err=True)
    click.echo(made.text)


@keys.command("list")
@click.option("--owner", help="Only this owner's.")
@click.pass_obj
def list_keys(settings: Settings, owner: str | None) -> None:
    """List the keys, newest first, with everything except the keys themselves."""
    for key in _with_store(settings, lambda store: store.list(owner)):
        click.echo(_line(key, time.time()))


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(settings: Settings, key_id: str) -> None:
    """Revoke a key for good, with all keys made with it. Streams started with them end within ten seconds."""
    name = key_id.removeprefix("sf_")[:16]  # the whole key may be pasted
    gone = _with_store(settings, lambda store: store.revoke(name, time.time()))
    if not gone:
        raise click.ClickException("There is no such key. See: python main.py keys list")
    made = len(gone) - 1
    click.echo(f"Revoked {name}{f' and {made} made with it' if made else ''}.")


def _with_store(settings: Settings, work: Callable[[KeyRepository], Awaitable[T]]) -> T:
    """Run `work` with the database's keys, and return its result."""
    from stores.sql.engine.database import open_database
    from stores.sql.engine.schema import SchemaError
    from stores.sql.keys import KeyStore

    async def do() -> T:
        async with open_database(settings.database_url()) as database:
            return await work(KeyStore(database))

    try:
        return asyncio.run(do())
    except (SchemaError, StreamForgeError) as error:
        raise click.ClickException(str(error)) from None


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise ValueError("--expires must be a time like 90d, 12h or 30m")
    return int(match[1]) * _UNITS[match[2]]


def _line(key: ApiKey, now: float) -> str:
    """One line for the key. Its owner and name are quoted, so that they can neither move the cursor nor fake a line."""
    state = "revoked" if key.revoked is not None else "usable" if key.usable(now) else "expired"
    maker = f" with {key.parent}" if key.parent else ""
    moments = f"made {_day(key.created)}{maker}, used {_day(key.last_used)}, ends {_day(key.expires)}"
    return f"{key.id}  {state}  {key.owner!a}  {key.name!a}  {','.join(sorted(key.scopes))}  {moments}"


def _day(moment: float | None) -> str:
    return "never" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
