"""A session as a file, written page by page."""

from collections.abc import AsyncIterator

from domain.messages import Message, Session
from routers.schemas.messages import MessageOut
from routers.schemas.sessions import SessionOut


async def as_json(session: Session, pages: AsyncIterator[list[Message]]) -> AsyncIterator[bytes]:
    """The session and its messages, in the JSON of their routes."""
    yield (
        b'{"session":'
        + SessionOut.model_validate(session).model_dump_json(exclude_none=True).encode()
        + b',"messages":['
    )
    first = True
    async for page in pages:
        items = [MessageOut.of(message).model_dump_json(exclude_none=True).encode() for message in page]
        yield (b"" if first or not items else b",") + b",".join(items)
        first = first and not items
    yield b"]}\n"


async def as_markdown(session: Session, pages: AsyncIterator[list[Message]]) -> AsyncIterator[bytes]:
    """A heading for each message; its text stays as it is."""
    title = " ".join((session.title or "Conversation").split())
    yield f"# {title}\n".encode()
    async for page in pages:
        for message in page:
            who = "You" if message.role == "user" else f"Answer ({message.model}, {message.state})"
            yield f"\n## {who}\n\n{message.text}\n{_cited(message)}".encode()


def _cited(message: Message) -> str:
    """The sources that the marks in an answer refer to."""
    lines = []
    for source in message.sources or ():
        if source["cited"]:
            page = f", page {source['page']}" if "page" in source else ""
            lines.append(f"- [{source['number']}] {' '.join(source['title'].split())}{page}")
    return "\n" + "\n".join(lines) + "\n" if lines else ""
