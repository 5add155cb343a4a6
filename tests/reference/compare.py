"""Compares the verdicts of the library with those of the model, on random requests at random gates.

A provider of its own (`provider.py`) issues tokens that say what was asked for. If a request needs an exchange, the gate's
twin makes it, whose token request is the same but which accepts every token; from then on, both the model and the library
must serve that token for exactly the same requests, to the same gates, and for the same time.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from . import model
from .claims import profile
from .counts import Counts
from .generate import COMMON, IDS, Generator
from .library import Invalid, Library
from .model import Denied, Found, Gate, Passes, Request, Token

GATES = 24
# The gates that judge each request: the one for which it was drawn, and its neighbours.
JUDGES = 4
# The requests for one set of gates, and those of a step.
ROUND, STEP = 500_000, 500
# The chances that a token is fetched when a request needs it: for credentials that occur often, with arguments as well, once
# their token has expired, and for all others. So most tokens live long, and few requests wait for the provider.
COMMON_PAIRS = frozenset((client_id, secret) for client_id in IDS for secret in COMMON)
FETCHED, FETCHED_WITH_ARGS, FETCHED_AGAIN, FETCHED_RARELY = 1.0, 0.01, 0.02, 0.001
# Settings that have no influence on the token: the twin of a gate has none of them.
VERDICTS = ("clients_allowed", "anonymous", "run_on_preflight", "issuers_allowed", "auth_methods", "ignore_signature")
CACHE_STATUS = {"HIT": 1, "ANONYMOUS": 6, "PREFLIGHT": 7}
PASSES = {number: name for name, number in CACHE_STATUS.items()}
SOURCE = {"header": 1, "query": 2, "body": 3, "host": 4, "headers": 5}
# The seconds within which two clocks agree.
SLACK = 1.1
# A decision begins with its name in the table.
EXCHANGE = ("needs an exchange",)


class Guarded:
    """One gate of a round: for the library, for the model, and its twin."""

    def __init__(self, library: Library, config: dict[str, Any], is_check: bool) -> None:
        self.config, self.kinds = config, Generator.kinds(config)
        self.handle = library.gate(config, is_check)
        self.model = Gate(config, is_check)
        dropped = [name for name in config if name in VERDICTS or name.endswith(("_required", "_forbidden"))]
        twin = {name: value for name, value in config.items() if name not in dropped}
        self.twin = library.gate({**twin, "verify_signature": False, "verify_claims": False}, is_check)


class Held:
    """A token, and the model's opinion of it at each gate, as far as it does not depend on the time."""

    def __init__(self, token: Token) -> None:
        self.token, self.authorization = token, b"Bearer " + token.text
        self.opinions: dict[Guarded, tuple[float, float, bool]] = {}

    def opinion(self, gate: Guarded) -> tuple[float, float, bool]:
        """Returns the earliest and the latest end of its time at a gate, and whether it suffices there."""
        known = self.opinions.get(gate)
        if known is None:
            token = self.token
            first, last = (model.served_until(gate.model, token, issued) for issued in (token.earliest, token.latest))
            known = self.opinions[gate] = first, last, model.suffices(gate.model, token)
        return known


class Comparison:
    """Rounds of requests, and the counts of the last one. `at_first` ends a round at the first difference."""

    def __init__(self, library: Library, issuer: str, seed: int, *, show: int = 3, at_first: bool = False) -> None:
        self.library, self.issuer, self.seed, self.show, self.at_first = library, issuer, seed, show, at_first
        self.rounds = 0
        self.counts = Counts()
        self.examples: dict[str, list[str]] = {}

    def round(self, requests: int) -> None:
        """Compares and counts verdicts at one set of gates, with an empty cache."""
        self.rounds += 1
        self.counts = Counts(rounds=1)
        generate = Generator(f"{self.seed}/{self.rounds}", self.issuer)
        salts = [f"{self.seed}/{self.rounds}/{number}" for number in range(2)]
        gates: list[Guarded] = []
        while len(gates) < GATES:
            try:
                gates.append(Guarded(self.library, *generate.config(salts)))
            except Invalid as error:
                raise RuntimeError(f"the generator makes an invalid configuration: {error}") from None
        self.tokens: dict[Any, Held] = {}
        self.serials: set[int] = set()
        self.uncached: set[Any] = set()
        circle = gates + gates[: JUDGES - 1]
        for start in range(0, requests, STEP):
            self.step(generate, gates, circle, min(STEP, requests - start))
            if self.at_first and self.counts.differences:
                break
        for gate in gates:
            self.library.free(gate.handle)
            self.library.free(gate.twin)
        self.library.purge()

    def step(self, generate: Generator, gates: list[Guarded], circle: list[Guarded], size: int) -> None:
        """Draws some requests, then asks the model about all of them, then the library: one at a time costs twice as much."""
        drawn = []
        for _ in range(size):
            first = int(generate.random() * GATES)
            drawn.append((circle[first : first + JUDGES], generate.request(gates[first].config, gates[first].kinds)))
        opinions = [[model.verdict(judge.model, request) for judge in judges] for judges, request in drawn]
        for (judges, request), verdicts in zip(drawn, opinions):
            self.counts.requests += 1
            self.library.load(request)
            if request.body is not None:
                self.compare_wants_body(judges[0], request, len(request.body) if generate.likely(0.5) else -1)
            self.now = time.time()
            for judge, verdict in zip(judges, verdicts):
                self.compare(judge, request, verdict, generate)

    def compare_wants_body(self, gate: Guarded, request: Request, length: int) -> None:
        wants = model.wants_body(gate.model, request, length)
        if self.library.wants_body(gate.handle, length) is not wants:
            self.differ("wants the body", gate, request, (length, wants), not wants)

    def compare(self, gate: Guarded, request: Request, verdict: Any, generate: Generator) -> None:
        """Compares the model's verdict with the decision of a gate on the loaded request."""
        self.library.give_args(len(gate.model.host_args))
        key = held = None
        if type(verdict) is Found:
            key = model.key(gate.model, verdict)
            held = self.tokens.get(key)
            expected = self.expected(gate, verdict, held, self.now)
        else:
            expected = self.denials(verdict)
        got = self.decision(gate)
        name = expected[0][0]
        self.counts.verdicts[name] += 1
        if got not in expected:
            self.differ(name, gate, request, expected, got)
        elif got is EXCHANGE:
            presented = self.library.presented(gate.handle)
            if verdict.source != "token" and presented != verdict.client_id:
                self.differ("presented client id", gate, request, verdict, presented)
            if generate.random() < self.chance(gate, verdict, key, held):
                self.exchange(gate, request, verdict, key, generate)
                self.now = time.time()
        elif held and got[0] == "hit":
            left = held.opinion(gate)[0] - self.now
            if self.seconds is None or not left - 2 < self.seconds < left + 2:
                self.differ("seconds that a hit is still served", gate, request, left, self.seconds)

    def decision(self, gate: Guarded) -> Any:
        """Returns the library's decision on the loaded request, in the form of `expected`."""
        library = self.library
        if not library.at_once(gate.handle):
            return EXCHANGE
        outcome = library.outcome
        if outcome.http_status:
            decision: Any = (library.cause(outcome.code), outcome.http_status, outcome.source)
        elif outcome.cache_status != CACHE_STATUS["HIT"]:
            name = PASSES.get(outcome.cache_status, outcome.cache_status)
            decision = (name, outcome.source, outcome.client_id_len, outcome.authorization_len)
        else:
            decision = ("hit", library.authorization(), library.client_id(), outcome.source)
            self.seconds = library.expires_in()
        library.release()
        return decision

    @staticmethod
    def denials(verdict: Any) -> list[Any]:
        if type(verdict) is Passes:
            return [(verdict.cache_status, 0, 0, 0)]
        causes = [verdict.cause, verdict.other] if verdict.other else [verdict.cause]
        return [(cause, model.STATUS[cause], 0) for cause in causes]

    def expected(self, gate: Guarded, found: Found, held: Held | None, now: float) -> list[Any]:
        """Returns the decisions that the model allows: more than one only while a token is about to expire."""
        if found.source == "token":
            invalid = Passes("ANONYMOUS") if gate.model.anonymous else Denied("token_invalid")
            return [EXCHANGE, *self.denials(invalid)]
        if held is None:
            return [EXCHANGE]
        first, last, suffices = held.opinion(gate)
        if last + SLACK <= now:
            return [EXCHANGE]
        token = held.token
        if not model.verifies(gate.model, token, min(now, last - 0.001)):
            served: Any = ("token_unverifiable", model.STATUS["token_unverifiable"], 0)
            if now - token.latest > model.REPLACED_AFTER - 1:
                # Within two seconds of the end of the pause, both are right.
                return [EXCHANGE] if now - token.earliest > model.REPLACED_AFTER + 1 else [served, EXCHANGE]
        elif suffices:
            served = ("hit", held.authorization, found.client_id, SOURCE[found.source])
        else:
            served = ("token_insufficient", model.STATUS["token_insufficient"], 0)
        return [served] if first - SLACK > now else [served, EXCHANGE]

    def chance(self, gate: Guarded, found: Found, key: Any, held: Held | None) -> float:
        """Returns how likely a token that is needed is also fetched."""
        if held and held.opinion(gate)[1] + SLACK > self.now:
            # The token is to be replaced at this gate, or expires just now. Its twin would have a hit.
            return 0
        if (found.client_id, found.client_secret) not in COMMON_PAIRS or (gate, key) in self.uncached:
            return FETCHED_RARELY
        if held:
            return FETCHED_AGAIN
        return FETCHED_WITH_ARGS if found.args else FETCHED

    def exchange(self, gate: Guarded, request: Request, found: Found, key: Any, generate: Generator) -> None:
        """Fetches the token of the loaded request."""
        library = self.library
        if found.source == "token":
            library.exchange(gate.handle)
            if library.outcome.http_status:
                decision: Any = (library.cause(library.outcome.code), library.outcome.http_status, 0)
            else:
                decision = (PASSES.get(library.outcome.cache_status), 0, 0, 0)
            library.release()
            self.counts.verdicts["a client's token"] += 1
            if decision not in self.expected(gate, found, None, 0):
                self.differ("a client's token", gate, request, found, decision)
            return
        earliest = time.time()
        cause = self.policy_of_new(gate.model, found, earliest)
        # A token that does not verify is not cached, and pauses the client for a while: the twin takes it.
        directly = cause != "token_unverifiable" and generate.random() < 0.3
        library.exchange(gate.handle if directly else gate.twin)
        latest = time.time()
        self.counts.verdicts["exchanged"] += 1
        if directly and cause:
            got = library.cause(library.outcome.code)
            library.release()
            if got != cause:
                self.differ("exchanged", gate, request, cause, got)
            if not library.at_once(gate.twin):
                self.uncached.add((gate, key))
                return
        if library.outcome.http_status:
            self.differ("exchanged", gate, request, found, library.cause(library.outcome.code))
            library.release()
            return
        text = library.authorization()[len("Bearer ") :]
        library.release()
        token, said = self.token(text, model.requested_scope(gate.model, found), earliest, latest)
        wanted = sorted(model.token_request(gate.model, found))
        if said["asked"] != wanted:
            self.differ("exchanged", gate, request, wanted, said["asked"])
        if said["serial"] in self.serials:
            self.differ("shared by two", gate, request, found, said["serial"])
        self.serials.add(said["serial"])
        if model.served_until(gate.model, token, earliest) > earliest:
            self.tokens[key] = Held(token)
        else:
            self.uncached.add((gate, key))

    def policy_of_new(self, gate: Gate, found: Found, now: float) -> str | None:
        """Returns the cause for which a gate denies the token that the provider would issue now."""
        response = profile(found.client_id.decode(), self.issuer, now)
        claims = response.pop("claims")
        if claims is not None:
            # As the provider's tokens do, which say with which response they came.
            claims = {**claims, "response": response}
        return model.policy(gate, Token(b"", response, claims, model.requested_scope(gate, found), now, now), now)

    @staticmethod
    def token(text: bytes, requested: str, earliest: float, latest: float) -> tuple[Token, dict[str, Any]]:
        """Reads a token of the provider: the response that it came with, and what was asked for."""
        part = text.split(b".")[1] if b"." in text else text
        said = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        return Token(text, said["response"], said if b"." in text else None, requested, earliest, latest), said

    def differ(self, name: str, gate: Guarded, request: Request, expected: Any, got: Any) -> None:
        self.counts.differences[name] += 1
        examples = self.examples.setdefault(name, [])
        if len(examples) < self.show:
            parts = {part: value for part, value in vars(request).items() if value not in (None, False, ())}
            examples.append(f"gate {gate.config}\n  request {parts}\n  model   {expected}\n  library {got}")
