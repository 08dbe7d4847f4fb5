"""The table of contents: every router of the API."""

from routers import chat, system

ROUTERS = [chat.router, system.router]  # the busiest first: routes are tried in this order
