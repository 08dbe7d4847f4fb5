"""The container's part that says who may ask, and how often."""

import asyncio
from contextlib import AsyncExitStack

from config.settings import Settings
from services.access.api_keys import ApiKeys
from services.access.auth_service import AuthService
from services.access.jwt_tokens import JwtTokens, TokenRules
from services.access.rate_limits import RateLimits
from services.access.secret import read_secret
from services.background import run_until_closed
from services.storage import Storage
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.revocations import Revocations
from stores.issuer_keys import IssuerKeys


def key_secret(settings: Settings) -> bytes | None:
    """What API keys are hashed with, where there are any; `SecretError` where it cannot be read or made. Blocks."""
    given = settings.AUTH_SECRET.get_secret_value() if settings.AUTH_SECRET else None
    return read_secret(given, settings.DATA_DIR) if settings.AUTH_MODE == "api_key" else None


async def open_auth(
    settings: Settings,
    secret: bytes | None,
    storage: Storage,
    supervisor: Supervisor,
    readers: Readers,
    stack: AsyncExitStack,
) -> tuple[AuthService | None, ApiKeys | None]:
    """Who says whose a request is: nobody only where the settings say so. `secret` is their `key_secret`."""
    if settings.AUTH_MODE == "none":
        return None, None
    if settings.AUTH_MODE == "jwt":
        return _open_tokens(settings, stack), None
    if secret is None:
        raise ValueError("AUTH_MODE is api_key, and there is no secret to check keys with")
    store = (await storage.open()).keys
    keys = ApiKeys(store, secret)
    stack.push_async_callback(keys.close)
    auth = AuthService(keys)
    run_until_closed(stack, Revocations(store, auth, supervisor, readers).run(), "revocations")
    return auth, keys


def _open_tokens(settings: Settings, stack: AsyncExitStack) -> AuthService:
    source, issuer, audience = settings.JWT_JWKS, settings.JWT_ISSUER, settings.JWT_AUDIENCE
    if source is None or issuer is None or audience is None:
        raise ValueError("AUTH_MODE is jwt, and there is nothing to check tokens by")
    issuer_keys = IssuerKeys(source)
    stack.push_async_callback(issuer_keys.close)
    rules = TokenRules(issuer, audience, settings.JWT_OWNER_CLAIM, settings.JWT_SCOPE_CLAIM)
    return AuthService(JwtTokens(issuer_keys, rules))


async def open_limits(settings: Settings, stack: AsyncExitStack) -> RateLimits | None:
    """How often callers and addresses may ask, where that is limited."""
    if not settings.RATE_LIMIT and not settings.RATE_LIMIT_ADDRESS:
        return None
    limits = await asyncio.to_thread(
        RateLimits,
        caller=settings.RATE_LIMIT,
        address=settings.RATE_LIMIT_ADDRESS,
        redis_url=settings.redis_address(),
        prefix=settings.REDIS_PREFIX,
    )
    stack.push_async_callback(limits.close)
    return limits
