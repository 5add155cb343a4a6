"""Compares the verdicts of the library with those of the model, on random requests at random gates.

A provider of its own (`provider.py`) issues tokens that say what was asked for. If a request needs an exchange, the gate's
twin makes it, whose token request is the same but which accepts every token; from then on, both the model and the library
must serve that token for exactly the same requests, to the same gates, and for the same time.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from typing import Any

from . import model
from .claims import profile
from .generate import COMMON, IDS, Generator
from .library import Invalid, Library
from .model import Denied, Found, Gate, Passes, Request, Token

GATES = 24
# The requests for one set of gates.
ROUND = 500_000
# Credentials that are exchanged whenever that is needed, so that most requests have a cached token; of all others, one in
# EXCHANGED is.
COMMON_PAIRS = frozenset((client_id, secret) for client_id in IDS for secret in COMMON)
EXCHANGED = 400
# Settings that have no influence on the token: the twin of a gate has none of them.
VERDICTS = ("clients_allowed", "anonymous", "run_on_preflight", "issuers_allowed", "auth_methods", "ignore_signature")
CACHE_STATUS = {"HIT": 1, "ANONYMOUS": 6, "PREFLIGHT": 7}
SOURCE = {"header": 1, "query": 2, "body": 3, "host": 4, "headers": 5}
EXCHANGE = ("exchange",)


class Guarded:
    """One gate of a round: for the library, for the model, and its twin."""

    def __init__(self, library: Library, config: dict[str, Any], is_check: bool) -> None:
        self.config, self.kinds = config, Generator.kinds(config)
        self.handle = library.gate(config, is_check)
        self.model = Gate(config, is_check)
        dropped = [name for name in config if name in VERDICTS or name.endswith(("_required", "_forbidden"))]
        twin = {name: value for name, value in config.items() if name not in dropped}
        self.twin = library.gate({**twin, "verify_signature": False, "verify_claims": False}, is_check)


class Comparison:
    """Rounds of requests, and the counts of their verdicts. `at_first` ends a round at the first difference."""

    def __init__(self, library: Library, issuer: str, seed: int, *, show: int = 3, at_first: bool = False) -> None:
        self.library, self.issuer, self.seed, self.show, self.at_first = library, issuer, seed, show, at_first
        self.rounds = self.exchanges = 0
        self.requests: Counter[str] = Counter()
        self.differences: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def round(self, cases: int) -> None:
        """Compares verdicts at one set of gates, with an empty cache."""
        self.rounds += 1
        generate = Generator(f"{self.seed}/{self.rounds}", self.issuer)
        salts = [f"{self.seed}/{self.rounds}/{number}" for number in range(2)]
        gates: list[Guarded] = []
        while len(gates) < GATES:
            try:
                gates.append(Guarded(self.library, *generate.config(salts)))
            except Invalid as error:
                raise RuntimeError(f"the generator makes an invalid configuration: {error}") from None
        self.tokens: dict[Any, Token] = {}
        self.serials: set[int] = set()
        self.uncached: set[Any] = set()
        for _ in range(cases):
            gate = generate.one(gates)
            self.compare(gate, generate.request(gate.config, gate.kinds), generate)
            if self.at_first and self.differences:
                break
        for gate in gates:
            self.library.free(gate.handle)
            self.library.free(gate.twin)
        self.library.purge()

    def compare(self, gate: Guarded, request: Request, generate: Generator) -> None:
        library = self.library
        verdict = model.verdict(gate.model, request)
        library.load(request)
        if request.body is not None:
            for length in (len(request.body), -1):
                wants = model.wants_body(gate.model, request, length)
                if library.wants_body(gate.handle, length) is not wants:
                    self.differ("wants the body", gate, request, (length, wants), not wants)
        before = time.time()
        got = self.decision(gate)
        if type(verdict) is Found:
            expected = self.expected(gate.model, verdict, before)
            if got == EXCHANGE and EXCHANGE in expected:
                name = "needs an exchange"
                presented = library.presented(gate.handle)
                if verdict.source != "token" and presented != verdict.client_id:
                    self.differ("presented client id", gate, request, verdict, presented)
            else:
                name = self.name(expected[0])
        else:
            expected = self.denials(verdict)
            name = self.name(expected[0])
        self.requests[name] += 1
        if got not in expected:
            self.differ(name, gate, request, expected, got)
        elif got[0] == "hit":
            token = self.tokens[model.key(gate.model, verdict)]
            left = model.served_until(gate.model, token, token.earliest) - before
            if self.seconds is None or not left - 2 < self.seconds < left + 2:
                self.differ("seconds that a hit is still served", gate, request, left, self.seconds)
        elif got == EXCHANGE:
            self.maybe_exchange(gate, request, verdict, generate)

    @staticmethod
    def name(expected: Any) -> str:
        return " ".join(str(part) for part in expected[:2] if not isinstance(part, bytes))

    def decision(self, gate: Guarded) -> Any:
        """Returns the library's decision on the loaded request, in the form of `expected`."""
        library = self.library
        if not library.at_once(gate.handle):
            return EXCHANGE
        outcome = library.outcome
        if outcome.http_status:
            cause = library.cause(outcome.code)
            decision: Any = ("deny", cause, outcome.http_status, outcome.source)
        elif outcome.cache_status != CACHE_STATUS["HIT"]:
            decision = ("pass", outcome.cache_status, outcome.source, outcome.client_id_len, outcome.authorization_len)
        else:
            decision = ("hit", library.authorization(), library.client_id(), outcome.source)
            self.seconds = library.expires_in()
        library.release()
        return decision

    @staticmethod
    def denials(verdict: Any) -> list[Any]:
        if type(verdict) is Passes:
            return [("pass", CACHE_STATUS[verdict.cache_status], 0, 0, 0)]
        causes = [verdict.cause, verdict.other] if verdict.other else [verdict.cause]
        return [("deny", cause, model.STATUS[cause], 0) for cause in causes]

    def expected(self, gate: Gate, found: Found, now: float) -> list[Any]:
        """Returns the decisions that the model allows: more than one only while a token is about to expire."""
        if found.source == "token":
            invalid = Passes("ANONYMOUS") if gate.anonymous else Denied("token_invalid")
            return [EXCHANGE, *self.denials(invalid)]
        token = self.tokens.get(model.key(gate, found))
        if token is None:
            return [EXCHANGE]
        until = [model.served_until(gate, token, issued) for issued in (token.earliest, token.latest)]
        served = None
        if until[1] + 1.1 > now:
            cause = model.policy(gate, token, min(now, until[1] - 0.001))
            if cause == "token_unverifiable" and now - token.latest > model.REPLACED_AFTER - 1:
                # Within two seconds of the end of the pause, both are right.
                is_due = now - token.earliest > model.REPLACED_AFTER + 1
                return [EXCHANGE] if is_due else [("deny", cause, model.STATUS[cause], 0), EXCHANGE]
            if cause:
                served = ("deny", cause, model.STATUS[cause], 0)
            else:
                served = ("hit", b"Bearer " + token.text, found.client_id, SOURCE[found.source])
        if served is None:
            return [EXCHANGE]
        return [served] if until[0] - 1.1 > now else [served, EXCHANGE]

    def maybe_exchange(self, gate: Guarded, request: Request, found: Found, generate: Generator) -> None:
        key = model.key(gate.model, found)
        held = self.tokens.get(key)
        if held and model.served_until(gate.model, held, held.latest) > time.time():
            # The token is to be replaced at this gate. Its twin would have a hit.
            return
        chance = 1 / EXCHANGED
        if (found.client_id, found.client_secret) in COMMON_PAIRS and (gate, key) not in self.uncached:
            chance = 0.03 if found.args else 1.0
        if generate.random() > chance:
            return
        library = self.library
        if found.source == "token":
            library.exchange(gate.handle)
            if library.outcome.http_status:
                decision: Any = ("deny", library.cause(library.outcome.code), library.outcome.http_status, 0)
            else:
                decision = ("pass", library.outcome.cache_status, 0, 0, 0)
            library.release()
            self.requests["a client's token"] += 1
            if decision not in self.expected(gate.model, found, 0):
                self.differ("a client's token", gate, request, found, decision)
            return
        earliest = time.time()
        cause = self.policy_of_new(gate.model, found, earliest)
        # A token that does not verify is not cached, and pauses the client for a while: the twin takes it.
        directly = cause != "token_unverifiable" and generate.random() < 0.3
        library.exchange(gate.handle if directly else gate.twin)
        latest = time.time()
        self.exchanges += 1
        self.requests["exchanged"] += 1
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
            self.tokens[key] = token
        else:
            self.uncached.add((gate, key))

    def policy_of_new(self, gate: Gate, found: Found, now: float) -> str | None:
        """Returns the cause for which a gate denies the token that the provider would issue now."""
        response = profile(found.client_id.decode(), self.issuer, now)
        claims = response.pop("claims")
        return model.policy(gate, Token(b"", response, claims, model.requested_scope(gate, found), now, now), now)

    @staticmethod
    def token(text: bytes, requested: str, earliest: float, latest: float) -> tuple[Token, dict[str, Any]]:
        """Reads a token of the provider: the response that it came with, and what was asked for."""
        part = text.split(b".")[1] if b"." in text else text
        said = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        return Token(text, said["response"], said if b"." in text else None, requested, earliest, latest), said

    def differ(self, name: str, gate: Guarded, request: Request, expected: Any, got: Any) -> None:
        self.differences[name] += 1
        examples = self.examples.setdefault(name, [])
        if len(examples) < self.show:
            parts = {part: value for part, value in vars(request).items() if value not in (None, False, ())}
            examples.append(f"gate {gate.config}\n  request {parts}\n  model   {expected}\n  library {got}")

    def table(self) -> str:
        """Returns the counts of requests and differences by the model's verdict."""
        rows = [f"{'verdict':<32}{'requests':>14}{'differences':>13}"]
        for name in sorted({*self.requests, *self.differences}):
            rows.append(f"{name:<32}{self.requests[name]:>14,}{self.differences[name]:>13,}")
        total = sum(self.requests.values())
        rows.append(f"{'all':<32}{total:>14,}{sum(self.differences.values()):>13,}")
        rows.append(f"{self.rounds} rounds of {GATES} gates, {self.exchanges:,} exchanges")
        return "\n".join(rows)
