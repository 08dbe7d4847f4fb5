"""The Lua scripts that change a shared log. Redis runs each of them atomically.

A stream has three keys: `log`, a Redis stream whose entry ids are `<seq>-0`; `meta`, a hash; and `lease`, which its
producer keeps from expiring. `meta` holds `info` (JSON), `state` (running, sealed, ended), `epoch`, `owner` (a
process), `last` (the last event's number), `bytes` (of text), `outcome`, `key` (the name of its idempotency key) and,
for each process that has readers, `until:<process>`, in milliseconds of the server's clock.

There are also `live`, a sorted set of the streams that have not ended, by the time until which their lease is known to
last; `finished`, a sorted set of `<id>:<bytes>` by the time at which they ended; `retained`, the total bytes of those;
and an inbox for each process, a Redis stream of messages from other processes.

So that the owner whose finished logs are largest loses its oldest first, `owners` is a hash of the owner of each
finished stream, as a digest; `held` a sorted set of owners by bytes; `finished:<owner>` the part of `finished` that is
the owner's. Older versions know only `finished` and `retained`: streams that they have ended have no owner here, and
what they delete is found missing later. An idempotency key is a string with the id of its stream, which expires by
itself; `claims:<owner>` is a sorted set of those whose log is gone, by the time at which they expire.
"""

import hashlib
from typing import Final

from stores.streams.local import EVENT_BYTES, LOG_BYTES

MISSING: Final = 0
FENCED: Final = -1
OK: Final = 1
DUPLICATE: Final = 2
CLOSED: Final = 3
GAP: Final = 4
OPEN: Final = 5
"""The stream is not sealed yet or, for a claim, cannot be claimed."""

_NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_TELL = """
local function tell(prefix, process, what, id, ttl)
  local inbox = prefix .. ':inbox:' .. process
  redis.call('XADD', inbox, 'MAXLEN', '~', '1000', '*', what, id)
  redis.call('PEXPIRE', inbox, ttl)
end
"""

_HOLD = """
local function hold(log, meta, lease, owner, length, ttl)
  redis.call('SET', lease, owner, 'PX', length)
  redis.call('PEXPIRE', log, ttl)
  redis.call('PEXPIRE', meta, ttl)
end
"""

_LET_GO = """
local function let_go(prefix, member, owner)
  local id, size = string.match(member, '^(%x+):(%d+)$')
  owner = owner or (id and redis.call('HGET', prefix .. ':owners', id))
  local there = redis.call('ZREM', prefix .. ':finished', member)
  local held = owner and redis.call('ZREM', prefix .. ':finished:' .. owner, member)
  if not id then return end
  redis.call('HDEL', prefix .. ':owners', id)
  if there == 1 then redis.call('DECRBY', prefix .. ':retained', size) end
  if held == 1 and tonumber(redis.call('ZINCRBY', prefix .. ':held', -size, owner)) <= 0 then
    redis.call('ZREM', prefix .. ':held', owner)
  end
  local stem = prefix .. ':{' .. id .. '}:'
  local key = redis.call('HGET', stem .. 'meta', 'key')
  redis.call('DEL', stem .. 'log', stem .. 'meta', stem .. 'lease')
  return key
end
"""

_CLAIM_KEY = """
local function claim_key(prefix, owner, key, most)
  local left = redis.call('PTTL', key)
  if left <= 0 then return end
  local claims = prefix .. ':claims:' .. owner
  redis.call('ZREMRANGEBYSCORE', claims, '-inf', now())
  redis.call('ZADD', claims, now() + left, key)
  redis.call('PEXPIRE', claims, math.max(left, redis.call('PTTL', claims)))
  if redis.call('ZCARD', claims) > tonumber(most) then redis.call('DEL', redis.call('ZPOPMIN', claims)[1]) end
end
"""

_TAKE = (
    _NOW
    + _TELL
    + _HOLD
    + """
local function take(log, meta, lease, live, id, owner, length, ttl, prefix)
  local former = redis.call('HGET', meta, 'owner')
  local epoch = redis.call('HINCRBY', meta, 'epoch', 1)
  redis.call('HSET', meta, 'owner', owner)
  hold(log, meta, lease, owner, length, ttl)
  redis.call('ZADD', live, now() + length, id)
  if former and former ~= owner then tell(prefix, former, 'fenced', id, ttl) end
  return epoch
end
"""
)


class Script:
    """A script, which the server knows by its SHA-1."""

    def __init__(self, lua: str) -> None:
        self.lua = lua
        self.sha = hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest().encode()

    def call(self, keys: list[bytes], *args: bytes) -> bytes:
        """The packed command that calls the script."""
        return packed(b"EVALSHA", self.sha, b"%d" % len(keys), *keys, *args)


def packed(*parts: bytes) -> bytes:
    """A command in Redis' wire format."""
    return b"*%d\r\n" % len(parts) + arguments(*parts)


def arguments(*parts: bytes) -> bytes:
    """Some of a command's parts in Redis' wire format."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


# KEYS log meta lease live; ARGV owner lease ttl id info kind fields
OPEN_LOG = Script(
    _NOW
    + _HOLD
    + f"""
if redis.call('EXISTS', KEYS[2]) == 1 then
  return redis.call('HGET', KEYS[2], 'owner') == ARGV[1] and {DUPLICATE} or {FENCED}
end
redis.call('HSET', KEYS[2], 'info', ARGV[5], 'state', 'running', 'epoch', '1', 'owner', ARGV[1],
  'last', '1', 'bytes', '0')
redis.call('XADD', KEYS[1], '1-0', ARGV[6], ARGV[7])
redis.call('ZADD', KEYS[4], now() + ARGV[2], ARGV[4])
hold(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3])
return {OK}
"""
)

# KEYS log meta lease; ARGV epoch owner lease ttl, then seq bytes kind fields
APPEND = Script(
    _HOLD
    + f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'state')
if not meta[1] then return {MISSING} end
if meta[1] ~= ARGV[1] then return {FENCED} end
local seq, last = tonumber(ARGV[5]), tonumber(meta[2])
if seq <= last then return {DUPLICATE} end
if meta[3] ~= 'running' then return {CLOSED} end
if seq ~= last + 1 then return {GAP} end
redis.call('XADD', KEYS[1], ARGV[5] .. '-0', ARGV[7], ARGV[8])
redis.call('HSET', KEYS[2], 'last', ARGV[5], 'bytes', ARGV[6])
hold(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4])
return {OK}
"""
)

# KEYS log meta lease; ARGV epoch (empty: any process's) owner lease ttl outcome id prefix -> {code, the fixed outcome}
SEAL = Script(
    _TELL
    + _HOLD
    + f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'state', 'outcome', 'owner')
if not meta[1] then return {{{MISSING}}} end
if ARGV[1] ~= '' and meta[1] ~= ARGV[1] then return {{{FENCED}}} end
if meta[2] ~= 'running' then return {{{OK}, meta[3]}} end
redis.call('HSET', KEYS[2], 'state', 'sealed', 'outcome', ARGV[5])
if ARGV[1] == '' then
  tell(ARGV[7], meta[4], 'sealed', ARGV[6], ARGV[4])
else
  hold(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4])
end
return {{{OK}, ARGV[5]}}
"""
)

# KEYS log meta lease live finished retained owners held finished:owner
# ARGV epoch kind fields outcome retention id owner -> {code, and the outcome if one was already announced}
ANNOUNCE = Script(
    f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'state', 'last', 'bytes', 'outcome', 'key')
if not meta[1] then return {{{MISSING}}} end
if meta[1] ~= ARGV[1] then return {{{FENCED}}} end
if meta[2] == 'ended' then return {{{DUPLICATE}, meta[5]}} end
if meta[2] ~= 'sealed' then return {{{OPEN}}} end
local seq = meta[3] + 1
redis.call('XADD', KEYS[1], string.format('%d-0', seq), ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], 'state', 'ended', 'outcome', ARGV[4], 'last', seq)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
if meta[6] then redis.call('PEXPIRE', meta[6], ARGV[5]) end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[6])
local size = {LOG_BYTES} + {EVENT_BYTES} * seq + meta[4]
local member = string.format('%s:%d', ARGV[6], size)
local time = redis.call('TIME')  -- more exactly than now(): several may end within a millisecond
local moment = time[1] * 1000 + time[2] / 1000
redis.call('ZADD', KEYS[5], moment, member)
redis.call('INCRBY', KEYS[6], size)
redis.call('HSET', KEYS[7], ARGV[6], ARGV[7])
redis.call('ZINCRBY', KEYS[8], size, ARGV[7])
redis.call('ZADD', KEYS[9], moment, member)
redis.call('PEXPIRE', KEYS[9], ARGV[5])
return {{{OK}}}
"""
)

# KEYS log meta lease live; ARGV owner lease ttl id prefix force -> {code, epoch, outcome or ''}
CLAIM = Script(
    _TAKE
    + f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'state', 'outcome', 'owner')
if not meta[1] then return {{{MISSING}}} end
if meta[4] == ARGV[1] and meta[2] ~= 'ended' then return {{{OK}, meta[1], meta[3] or ''}} end
if meta[2] == 'ended' or (ARGV[6] == '' and redis.call('EXISTS', KEYS[3]) == 1) then return {{{OPEN}}} end
local epoch = take(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[4], ARGV[1], ARGV[2], ARGV[3], ARGV[5])
return {{{OK}, epoch, meta[3] or ''}}
"""
)

# KEYS live; ARGV owner lease ttl prefix limit, then ids not to take -> {{id, epoch, info, outcome or ''}, ...}
LOST = Script(
    _TAKE
    + """
local found, left_alone = {}, {}
for place = 6, #ARGV do left_alone[ARGV[place]] = true end
local moment = now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', moment, 'LIMIT', 0, ARGV[5])) do
  local stem = ARGV[4] .. ':{' .. id .. '}:'
  local log, meta, lease = stem .. 'log', stem .. 'meta', stem .. 'lease'
  local known = redis.call('HMGET', meta, 'state', 'info', 'outcome', 'epoch')
  local left = redis.call('PTTL', lease)
  if not known[1] or not known[4] or known[1] == 'ended' then
    redis.call('ZREM', KEYS[1], id)
  elseif left > 0 then
    redis.call('ZADD', KEYS[1], moment + left, id)
  elseif not left_alone[id] then
    local epoch = take(log, meta, lease, KEYS[1], id, ARGV[1], ARGV[2], ARGV[3], ARGV[4])
    found[#found + 1] = {id, epoch, known[2] or '', known[3] or ''}
  end
end
return found
"""
)

# KEYS meta lease live; ARGV epoch id -> code
GIVE_BACK = Script(
    _NOW
    + f"""
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return {MISSING} end
if epoch ~= ARGV[1] then return {FENCED} end
redis.call('HSET', KEYS[1], 'owner', '')
redis.call('DEL', KEYS[2])
redis.call('ZADD', KEYS[3], now(), ARGV[2])
return {OK}
"""
)

# KEYS log meta lease live; ARGV epoch owner lease ttl id reading -> code: OPEN while it runs, CLOSED when sealed
REFRESH = Script(
    _NOW
    + _HOLD
    + f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'state', 'key')
if not meta[1] then return {MISSING} end
if meta[1] ~= ARGV[1] then return {FENCED} end
if meta[2] == 'ended' then return {CLOSED} end
hold(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4])
if meta[3] then redis.call('PEXPIRE', meta[3], ARGV[4]) end
local horizon = now() + ARGV[3]
redis.call('ZADD', KEYS[4], horizon, ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'until:' .. ARGV[2], horizon) end
return meta[2] == 'running' and {OPEN} or {CLOSED}
"""
)

# KEYS meta; ARGV process lease reading -> false, or {info, state, outcome or ''}
LOOK = Script(
    _NOW
    + """
local meta = redis.call('HMGET', KEYS[1], 'info', 'state', 'outcome')
if not meta[1] or not meta[2] then return false end
if ARGV[3] ~= '' and meta[2] == 'running' then
  redis.call('HSET', KEYS[1], 'until:' .. ARGV[1], now() + ARGV[2])
end
return {meta[1], meta[2], meta[3] or ''}
"""
)

# KEYS meta; ARGV process -> whether another process has readers
READERS = Script(
    _NOW
    + """
local fields = redis.call('HGETALL', KEYS[1])
local moment, own = now(), 'until:' .. ARGV[1]
for place = 1, #fields, 2 do
  local name = fields[place]
  if name ~= own and string.sub(name, 1, 6) == 'until:' and tonumber(fields[place + 1]) > moment then return 1 end
end
return 0
"""
)

# KEYS key meta; ARGV value ttl -> the first value
BIND = Script("""
local bound = redis.call('GET', KEYS[1])
if bound then return bound end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'key', KEYS[1]) end
return ARGV[1]
""")

# KEYS key; ARGV stream
RELEASE = Script("""
local bound = redis.call('GET', KEYS[1])
if bound and string.sub(bound, 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
""")

# KEYS meta; ARGV process id prefix ttl
LEFT = Script(
    _TELL
    + """
redis.call('HDEL', KEYS[1], 'until:' .. ARGV[1])
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner then tell(ARGV[3], owner, 'left', ARGV[2], ARGV[4]) end
return 0
"""
)

# KEYS log meta lease live; ARGV epoch id -> code
DISCARD = Script(f"""
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'state', 'key')
if not meta[1] then return {MISSING} end
if meta[1] ~= ARGV[1] then return {FENCED} end
if meta[2] == 'ended' then return {CLOSED} end
if meta[3] then redis.call('DEL', meta[3]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[2])
return {OK}
""")

# KEYS finished retained owners held; ARGV prefix most retention limit claims -> how many finished streams were deleted
PRUNE = Script(
    _NOW
    + _LET_GO
    + _CLAIM_KEY
    + """
local gone = 0
local horizon = now() - ARGV[3]
while gone < tonumber(ARGV[4]) do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if not oldest[1] then
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
    break
  end
  if tonumber(oldest[2]) <= horizon then
    let_go(ARGV[1], oldest[1])
  elseif tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[2]) then
    local owner = redis.call('ZREVRANGE', KEYS[4], 0, 0)[1]
    local member = owner and redis.call('ZRANGE', ARGV[1] .. ':finished:' .. owner, 0, 0)[1] or nil
    if owner and not member then
      redis.call('ZREM', KEYS[4], owner)
    else
      local key = let_go(ARGV[1], member or oldest[1], owner)
      if owner and key then claim_key(ARGV[1], owner, key, ARGV[5]) end
    end
  else
    break
  end
  gone = gone + 1
end
return gone
"""
)

# KEYS inbox; ARGV what id ttl
TELL = Script("""
redis.call('XADD', KEYS[1], 'MAXLEN', '~', '1000', '*', ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
""")

ALL: Final = [value for value in list(globals().values()) if isinstance(value, Script)]
