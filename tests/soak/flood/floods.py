"""The four floods, with their bounds."""

from dataclasses import dataclass

from soak.flood.attackers import LARGE, SOURCES, apart, huge_heads, slow_bodies, unknown_kids, wrong_secrets
from soak.flood.limits import fetches, refusal_memory, refused_exchanges
from soak.flood.scene import MIB, Result, Scene
from soak.hosts import WORKERS

POOLS = 5 * 1024
"""The pools of a connection and its request, and the first header buffer of nginx."""
BODY = 16 * 1024
"""nginx's buffer of a body."""
SPARE = 4 * MIB
"""For the work at hand: exchanges in progress, and pages that malloc keeps."""


@dataclass(frozen=True)
class Size:
    """Requests of each flood; `seconds` are the least that slow bodies take."""

    secrets: int
    kids: int
    bodies: int
    seconds: float
    heads: int


SIZES = {"short": Size(50_000, 10_000, 200, 4.0, 2_000), "long": Size(1_000_000, 200_000, 2_000, 60.0, 100_000)}


async def secrets(scene: Scene, size: Size) -> Result:
    result = await scene.during("wrong secrets", apart(wrong_secrets, scene.server.port, size.secrets))
    result.budget = budget(result.seconds, SOURCES)
    result.bound = refusal_memory(result.provider["token"], drawn=True) + SOURCES * (POOLS + LARGE) + SPARE
    result.check({401, 429})
    return result


async def kids(scene: Scene, size: Size) -> Result:
    flood = apart(unknown_kids, scene.server.port, size.kids, scene.provider.issuer)
    result = await scene.during("unknown kids", flood)
    result.budget = budget(result.seconds, 0)
    result.bound = refusal_memory(size.kids, drawn=False) + SOURCES * (POOLS + LARGE) + SPARE
    result.check({401})
    return result


async def bodies(scene: Scene, size: Size) -> Result:
    result = await scene.during("slow bodies", apart(slow_bodies, scene.server.port, size.bodies, size.seconds))
    result.budget = budget(result.seconds, size.bodies)
    result.bound = size.bodies * (POOLS + BODY) + SPARE
    result.check({200, 401, 429})
    result.served(size.bodies // 2)
    return result


async def heads(scene: Scene, size: Size) -> Result:
    result = await scene.during("huge heads", apart(huge_heads, scene.server.port, size.heads))
    result.budget = budget(result.seconds, size.heads)
    result.bound = refusal_memory(result.provider["token"], drawn=True) + SOURCES * (POOLS + 4 * LARGE) + SPARE
    result.check({200, 400, 401, 429})
    result.served(size.heads // 10)
    return result


def budget(seconds: float, sources: int) -> dict[str, int]:
    """The provider's requests that a flood from so many addresses may cause; without addresses, no exchange."""
    allowed = fetches(WORKERS, seconds)
    exchanges = refused_exchanges(WORKERS, seconds, sources) if sources else 0
    return {"token": exchanges, "jwks": allowed, "metadata": allowed}


FLOODS = {"secrets": secrets, "kids": kids, "bodies": bodies, "heads": heads}
