"""A model of how streams end, and a walk through every order in which its steps can come (F25).

Four act on one stream, each a step at a time: the *producer*; somebody who *cancels* on another replica and, when
nothing happens, claims; two *sweepers* that claim what has lost its lease. Each but the last sweeper may crash before
any of its steps; a lease may lapse at any moment, whether its holder is dead or paused; any reply may be lost, so that
a step is taken again. What a step does to the log is one Lua script; to save is a write of SQL, which knows no epoch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

PRODUCER, CANCEL, FIRST, LAST = range(4)
NAMES = ("producer", "cancel", "sweeper", "other sweeper")
WANTED = ("done", "cancelled", "producer_lost", "producer_lost")


@dataclass(frozen=True, slots=True)
class Actor:
    """Where somebody is, and which outcome they have been told stands."""

    at: str
    knows: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """The log, the database, and everybody."""

    actors: tuple[Actor, ...]
    state: str = "running"
    outcome: str = ""
    owner: int = PRODUCER
    """Who claimed last; since nobody claims twice at a time it says what the epoch says."""
    lease: bool = True
    announced: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    """Everything that was ever written, in order; the same again leaves no trace."""

    def put(self, who: int, at: str, knows: str = "") -> "World":
        actors = list(self.actors)
        actors[who] = Actor(at, knows)
        return replace(self, actors=tuple(actors))


Step = Callable[[World, int], World | None]
Protocol = dict[str, Step]


def fenced(world: World, who: int) -> World:
    """Stop; a sweeper goes on looking."""
    return world.put(who, "look" if who in (FIRST, LAST) else "gone")


def look(world: World, who: int) -> World | None:
    if world.lease or world.state == "ended":
        return None
    return replace(world, owner=who, lease=True).put(who, "claimed")


def insist(world: World, who: int) -> World | None:
    """Nothing has happened within two seconds: claim, whoever has the lease."""
    if world.state == "ended":
        return world.put(who, "gone")
    return replace(world, owner=who, lease=True).put(who, "claimed")


def seal(world: World, who: int) -> World:
    if world.owner != who:
        return fenced(world, who)
    if world.state == "running":
        world = replace(world, state="sealed", outcome=WANTED[who])
    return world.put(who, "save", world.outcome)


def seal_from_elsewhere(world: World, who: int) -> World:
    if world.state == "running":
        world = replace(world, state="sealed", outcome=WANTED[who])
    return world.put(who, "insist")


def save(world: World, who: int) -> World:
    knows = world.actors[who].knows
    if not world.saved or world.saved[-1] != knows:
        world = replace(world, saved=(*world.saved, knows)[-3:])
    return world.put(who, "announce", knows)


def announce(world: World, who: int) -> World:
    if world.owner != who or world.state == "ended":
        return fenced(world, who)
    told = (*world.announced, world.actors[who].knows)
    return fenced(replace(world, state="ended", announced=told, lease=False), who)


SEAL_SAVE_ANNOUNCE: Protocol = {
    "produce": seal,
    "cancel": seal_from_elsewhere,
    "insist": insist,
    "look": look,
    "claimed": seal,
    "save": save,
    "announce": announce,
}


def decide(world: World, who: int) -> World:
    """Without a seal everybody saves the end that they themselves think of."""
    if world.state == "ended":
        return fenced(world, who)
    return world.put(who, "save", WANTED[who])


def decide_if_owner(world: World, who: int) -> World:
    return decide(world, who) if world.owner == who else fenced(world, who)


SAVE_THEN_APPEND: Protocol = {
    **SEAL_SAVE_ANNOUNCE,
    "produce": decide_if_owner,
    "cancel": insist,
    "claimed": decide_if_owner,
}

ANNOUNCE_THEN_SAVE: Protocol = {
    **SEAL_SAVE_ANNOUNCE,
    "save": lambda world, who: announce(world, who).put(who, "announce", world.actors[who].knows),
    "announce": lambda world, who: fenced(save(world, who), who),
}


def moves(protocol: Protocol, world: World) -> Iterator[tuple[str, World]]:
    if world.lease:
        yield "the lease lapses", replace(world, lease=False)
    for who, actor in enumerate(world.actors):
        step = protocol.get(actor.at)
        if step is None:
            continue
        after = step(world, who)
        if after is not None:
            yield f"{NAMES[who]}: {actor.at}", after
            again = after.put(who, actor.at, actor.knows)  # the reply is lost
            if again != world:
                yield f"{NAMES[who]}: {actor.at}, unheard", again
        if who != LAST:
            yield f"{NAMES[who]} crashes", world.put(who, "dead")


def explore(protocol: Protocol) -> dict[World, list[World]]:
    """Every world that can come about, each with those that can follow it, breadth first."""
    start = World((Actor("produce"), Actor("cancel"), Actor("look"), Actor("look")))
    found: dict[World, list[World]] = {}
    border = [start]
    while border:
        ahead: list[World] = []
        for world in border:
            if world not in found:
                found[world] = [after for _, after in moves(protocol, world)]
                ahead += found[world]
        border = ahead
    return found


def wrong(world: World) -> str | None:
    """What must never be, whatever comes next."""
    said = {*world.announced, *world.saved}
    if len(world.announced) > 1 or len(said) > 1:
        return "two outcomes"
    if world.announced and not world.saved:
        return "announced, and not saved"
    return None


def well_ended(world: World) -> bool:
    return world.state == "ended" and len(world.announced) == 1 and set(world.saved) == set(world.announced)


def without_an_end(worlds: dict[World, list[World]]) -> list[World]:
    """Those from which no good end can be reached any more."""
    before: dict[World, list[World]] = {world: [] for world in worlds}
    for world, following in worlds.items():
        for after in following:
            before[after].append(world)
    good = {world for world in worlds if well_ended(world)}
    border = list(good)
    while border:
        for world in before[border.pop()]:
            if world not in good:
                good.add(world)
                border.append(world)
    return [world for world in worlds if world not in good]


def test_sealed_saved_and_announced_a_stream_ends_once_and_as_it_was_saved() -> None:
    worlds = explore(SEAL_SAVE_ANNOUNCE)
    assert len(worlds) > 1000, "the model has become too small to show anything"
    assert {outcome for world in worlds for outcome in world.announced} == set(WANTED)
    assert [world for world in worlds if wrong(world)] == []
    assert without_an_end(worlds) == []
    resting = [world for world, following in worlds.items() if not following]
    assert all(well_ended(world) for world in resting)


def test_saved_and_then_appended_streams_end_in_two_ways() -> None:
    found = {wrong(world) for world in explore(SAVE_THEN_APPEND)}
    assert "two outcomes" in found


def test_announced_before_it_is_saved_an_answer_is_lost_in_a_crash() -> None:
    worlds = explore(ANNOUNCE_THEN_SAVE)
    assert "announced, and not saved" in {wrong(world) for world in worlds}
    assert without_an_end(worlds) != []
