"""Who may ask, and how often."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from config.groups.access import AccessSettings
from config.groups.storage import StorageSettings
from services.access.api_keys import ApiKeys
from services.access.auth_service import AuthService
from services.access.jwt_tokens import JwtTokens, TokenRules
from services.access.rate_limits import RateLimits
from services.access.secret import read_secret
from services.background import run_until_closed
from services.storage import Storage
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.dead_keys import DeadKeys
from services.upkeep.revocations import Revocations
from stores.issuer_keys import IssuerKeys


def key_secret(settings: AccessSettings, data_dir: Path) -> bytes | None:
    """The secret that API keys are hashed with; `None` without keys. Blocks.

    Raises `SecretError` if it cannot be read or made.
    """
    given = settings.AUTH_SECRET.get_secret_value() if settings.AUTH_SECRET else None
    return read_secret(given, data_dir) if settings.AUTH_MODE == "api_key" else None


async def open_auth(
    settings: AccessSettings,
    secret: bytes | None,
    storage: Storage,
    supervisor: Supervisor,
    readers: Readers,
    stack: AsyncExitStack,
) -> tuple[AuthService | None, ApiKeys | None]:
    """What authenticates requests, and the API keys; both `None` if the settings ask for neither.

    `secret` is the settings' `key_secret`.
    """
    if settings.AUTH_MODE == "none":
        return None, None
    if settings.AUTH_MODE == "jwt":
        return _open_tokens(settings, stack), None
    if secret is None:
        raise ValueError("AUTH_MODE is api_key, and there is no secret to check keys with")
    await storage.open()  # a server that could check no key does not start
    keys = ApiKeys(storage.keys, secret)
    stack.push_async_callback(keys.close)
    auth = AuthService(keys)
    run_until_closed(stack, Revocations(storage.keys, auth, supervisor, readers).run(), "revocations")
    run_until_closed(stack, DeadKeys(storage.keys).run(), "dead keys")
    return auth, keys


def _open_tokens(settings: AccessSettings, stack: AsyncExitStack) -> AuthService:
    source, issuer, audience = settings.JWT_JWKS, settings.JWT_ISSUER, settings.JWT_AUDIENCE
    if source is None or issuer is None or audience is None:
        raise ValueError("AUTH_MODE is jwt, and there is nothing to check tokens by")
    issuer_keys = IssuerKeys(source)
    stack.push_async_callback(issuer_keys.close)
    rules = TokenRules(issuer, audience, settings.JWT_OWNER_CLAIM, settings.JWT_SCOPE_CLAIM)
    return AuthService(JwtTokens(issuer_keys, rules))


async def open_limits(stack: AsyncExitStack, *, access: AccessSettings, storage: StorageSettings) -> RateLimits | None:
    """How often callers and addresses may ask; `None` if that is not limited."""
    if not access.RATE_LIMIT and not access.RATE_LIMIT_ADDRESS:
        return None
    limits = await asyncio.to_thread(
        RateLimits,
        caller=access.RATE_LIMIT,
        address=access.RATE_LIMIT_ADDRESS,
        redis_url=storage.redis_address(),
        prefix=storage.REDIS_PREFIX,
    )
    stack.push_async_callback(limits.close)
    return limits
