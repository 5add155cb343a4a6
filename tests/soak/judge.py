"""The judge: whether an answer is the one that the request must get."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from soak.cast import MARGIN, TIMEOUT
from soak.exchange import Answer
from soak.excuses import Excuses
from soak.requests import Asked
from soak.tokens import Grant, Mint
from soak.upstream import Seen

PROVIDER_FAILURES = {
    502: {"provider_unreachable", "provider_failed", "provider_response_invalid"},
    503: {"provider_busy", "provider_paused"},
    504: {"provider_timeout"},
}
"""The documented statuses of the faults in provider.py, and their causes."""
REFUSALS = {401: {"credentials_refused"}, 429: {"too_many_refusals"}}
OWN = {401: {"token_invalid"}}
SETTLES = 2.0
"""A token that was served this long ago is in the store, and a purge that returned this long ago has reached all."""
LONGEST = TIMEOUT + 2.0
"""No answer may take longer, in seconds."""
NEVER_PURGED = "python"
"""The store of a host that has no endpoint for purges."""


@dataclass
class Served:
    """The newest token of a client at a gate of a host. `first` is of the event loop's clock, the times of the grant are Unix
    times."""

    grant: Grant
    first: float


@dataclass
class Purge:
    """A purge of a client. Times are of the event loop's clock, and `issued` is the Unix time at its begin."""

    begin: float
    end: float
    issued: float


@dataclass
class Judge:
    """Counts verdicts, and collects wrong answers. `stores` are the names of stores by host."""

    mint: Mint
    excuses: Excuses
    stores: dict[str, str]
    verdicts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    newest: dict[tuple[str, str, str], Served] = field(default_factory=dict)
    purges: dict[str, Purge] = field(default_factory=dict)
    longest: float = 0.0

    def judge(self, asked: Asked, answer: Answer, seen: Seen | None) -> None:
        """`seen` is the request as the upstream got it."""
        problem = self.problem(asked, answer, seen)
        took = answer.end - answer.begin
        self.longest = max(self.longest, took)
        if not problem and took > LONGEST:
            problem = f"took {took:.1f} s"
        if problem:
            self.report(asked, answer, problem)
        else:
            self.verdicts[f"{asked.kind} {answer.status or 'broken'} {answer.cause or ''}".strip()] += 1

    def report(self, asked: Asked, answer: Answer | None, problem: str) -> None:
        self.verdicts["wrong answers"] += 1
        got = f" {answer.status} {answer.cause}" if answer else ""
        self.wrong.append(f"{asked.number} {asked.kind} {asked.host}/{asked.gate} {asked.client.id}{got}: {problem}")

    def problem(self, asked: Asked, answer: Answer, seen: Seen | None) -> str | None:
        if seen and (leak := self.leak(asked, seen)):
            return leak
        if answer.status == 0:
            return None if self.excused(f"worker {asked.host}", answer) else "the connection broke"
        match asked.kind:
            case "none":
                return self.denied(answer, seen, {401: {"no_credentials"}})
            case "forged":
                return self.denied(answer, seen, OWN | self.failures(answer))
            case "wrong" | "unknown":
                return self.denied(answer, seen, REFUSALS | self.failures(answer))
            case "preflight":
                if answer.status != 200 or json.loads(answer.body) != []:
                    return "a preflight does not pass without a token"
                return None
        if answer.status == 200:
            return self.allowed(asked, answer, seen)
        return self.denied(answer, seen, self.failures(answer)) or self.held(asked, answer)

    def leak(self, asked: Asked, seen: Seen) -> str | None:
        """Every request that reached the upstream is free of the client's credentials."""
        if asked.kind not in ("own", "forged") and asked.client.traces(seen.raw):
            return "the upstream got the secret"
        if asked.kind == "wrong" and asked.client.wrong().traces(seen.raw):
            return "the upstream got the wrong secret"
        if seen.times > 1:
            return f"the upstream got it {seen.times} times"
        return None

    def failures(self, answer: Answer) -> dict[int, set[str]]:
        return PROVIDER_FAILURES if self.excused("provider", answer) else {}

    def excused(self, kind: str, answer: Answer) -> bool:
        return self.excuses.holds(kind, answer.begin, answer.end)

    def denied(self, answer: Answer, seen: Seen | None, documented: dict[int, set[str]]) -> str | None:
        if seen:
            return "reached the upstream"
        if answer.cause not in documented.get(answer.status, ()):
            return "is not documented"
        return None

    def allowed(self, asked: Asked, answer: Answer, seen: Seen | None) -> str | None:
        """Exactly one token reached the upstream: one of this client and scope, which is valid, and not purged."""
        values = json.loads(answer.body)
        if seen and values != seen.authorization:
            return "is not the answer of its own request"
        if len(values) != 1 or not values[0].startswith("Bearer "):
            return f"{len(values)} headers, or another scheme"
        token = values[0].removeprefix("Bearer ")
        if asked.kind == "own" and token != asked.token:
            return "another token than the client's own"
        grant = self.mint.read(token)
        if grant is None:
            return "a token that the provider has not issued"
        if (grant.client, grant.scope) != (asked.client.id, asked.gate):
            return f"the token of {grant.client} for {grant.scope}"
        if grant.expires < time.time() - 1:
            return "an expired token"
        if asked.kind == "own":
            return None
        if purged := self.purged(asked, answer, grant):
            return purged
        key = (asked.host, asked.gate, asked.client.id)
        served = self.newest.get(key)
        if served is None or grant.expires > served.grant.expires:
            self.newest[key] = Served(grant, answer.end)
        return None

    def purged(self, asked: Asked, answer: Answer, grant: Grant) -> str | None:
        purge = self.purges.get(asked.client.id)
        if self.stores[asked.host] == NEVER_PURGED:
            return None
        if purge is None or grant.issued >= purge.issued or answer.begin < purge.end + SETTLES:
            return None
        kinds = ("store", *(f"worker {host}" for host in self.stores))
        if any(self.excuses.holds(kind, purge.begin - SETTLES, purge.end + SETTLES) for kind in kinds):
            return None
        return f"a token {answer.begin - purge.end:.1f} s after its purge"

    def held(self, asked: Asked, answer: Answer) -> str | None:
        """While the provider fails, a client whose token is in the store is served."""
        served = self.newest.get((asked.host, asked.gate, asked.client.id))
        if asked.kind == "own" or served is None:
            return None
        remaining = served.grant.expires - MARGIN - time.time()
        if remaining < 1 or answer.begin < served.first + SETTLES:
            return None
        # A refresh gets a token some time before it is first served.
        issued = answer.end - (time.time() - served.grant.issued)
        purge = self.purges.get(asked.client.id)
        if purge and purge.end + SETTLES > issued:
            return None
        if self.stores[asked.host] == "redis" and self.excuses.holds("store", issued - SETTLES, answer.end):
            return None
        return f"a token was served before and lives {remaining:.0f} s more; its number is {served.grant.number}"
