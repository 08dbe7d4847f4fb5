"""The table of contents: every router of the API."""

from routers import chat, system

ROUTERS = [system.router, chat.router]
