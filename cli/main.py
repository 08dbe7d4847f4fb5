"""The commands. Each receives the settings that `main` has loaded, and fails with one sentence."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from cli.doctor.command import doctor
from cli.keys import keys
from cli.reindex import reindex
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The settings that `main` has loaded, and the function that serves."""

    settings: Settings
    serve: Callable[[Settings], int]


@click.group(invoke_without_command=True)
@click.option("--workers", type=click.IntRange(1, 1_000), help="Processes to serve with; by default WORKERS.")
@click.pass_context
def commands(context: click.Context, workers: int | None) -> None:
    """Without a command, start the server. Settings come from the environment and .env; see .env.example."""
    loaded: CommandContext = context.obj
    if context.invoked_subcommand is None:
        settings = loaded.settings
        if workers is not None:
            settings = settings.model_copy(update={"WORKERS": workers})
        context.exit(loaded.serve(settings))
    context.obj = loaded.settings


@commands.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Migrate the database's schema, which PostgreSQL needs after an update of this program."""
    from domain.errors import StreamForgeError
    from stores.sql.engine.glance import VERSIONS
    from stores.sql.engine.schema import SchemaError
    from stores.sql.engine.schema import migrate as bring_up_to_date

    try:
        before = bring_up_to_date(settings.database_url())
    except (SchemaError, StreamForgeError) as error:
        raise click.ClickException(str(error)) from error
    if before == VERSIONS[-1]:
        click.echo(f"The schema is up to date: version {before}.")
    else:
        click.echo(f"The schema was at version {before or 'none'}, and is at {VERSIONS[-1]} now.")


commands.add_command(doctor)
commands.add_command(keys)
commands.add_command(reindex)


def run(argv: list[str], settings: Settings, serve: Callable[[Settings], int]) -> int:
    """Run the command in `argv`; returns the exit code: 2 for invalid arguments, 1 for a command that failed."""
    try:
        code = commands.main(
            argv, prog_name="python main.py", obj=CommandContext(settings, serve), standalone_mode=False
        )
    except click.UsageError as error:
        print(f"{error.format_message()} See: python main.py --help", file=sys.stderr)
        return 2
    except click.ClickException as error:
        print(error.format_message(), file=sys.stderr)
        return 1
    except click.Abort:
        print("Stopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    return code or 0
