"""The table of contents: every router of the API."""

from routers import chat, models, system

ROUTERS = [chat.router, models.router, system.router]  # the busiest first: routes are tried in this order
