"""`python main.py reindex`: embeds all documents again, after the embedding model has been changed."""

import asyncio
import sys

import click

from config.logging import configure_logging
from config.settings import Settings
from domain.errors import StreamForgeError
from services.documents.reindexing import Reindexed


@click.command()
@click.option("--anew", is_flag=True, help="Embed even what the index has already, as after losing vectors.")
@click.pass_obj
def reindex(settings: Settings, anew: bool) -> None:
    """Embed all documents with the model of the settings. If interrupted, the next run continues."""
    from services.storage import StorageError
    from stores.sql.engine.schema import SchemaError
    from stores.vectors.chroma_folder import ChromaError

    configure_logging("WARNING")  # or its lines would break the progress bar
    try:
        done = asyncio.run(_run(settings, anew=anew))
    except (SchemaError, StorageError, ChromaError) as error:
        raise click.ClickException(str(error)) from error
    except StreamForgeError as error:
        raise click.ClickException(f"{error} What is done is kept: run the command again to go on.") from error
    click.echo(_sentence(done))


async def _run(settings: Settings, *, anew: bool) -> Reindexed:
    from services.assembly.documents import open_reindexing

    opening = open_reindexing(
        documents=settings, models=settings, storage=settings, chroma_folder=settings.chroma_folder()
    )
    async with opening as reindexing:
        with click.progressbar(length=0, label="Pieces", show_pos=True, file=sys.stderr) as bar:

            def show(done: int, whole: int) -> None:
                bar.length = whole
                bar.update(max(done - bar.pos, 0))

            return await reindexing.run(show, anew=anew)


def _sentence(done: Reindexed) -> str:
    count = f"{done.documents} documents, {done.pieces} pieces"
    if done.before is not None:
        return f"The index of {done.index.model} has replaced that of {done.before.model}. Embedded: {count}."
    if done.documents:
        return f"The index of {done.index.model} is complete. Embedded: {count}."
    return f"The index of {done.index.model} is up to date: it holds every document."
