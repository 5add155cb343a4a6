"""Each value in ffi/nginx/LIMITS.md is that of the code."""

import json
import re

from support.process import ROOT

PAGE = (ROOT / "ffi/nginx/LIMITS.md").read_text()
CORE = ROOT / "core/src"
FIELDS = {field["name"]: field for field in json.loads((ROOT / "core/config.fields.json").read_text())}
UNITS = {
    "bytes": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "ms": 0.001,
    "s": 1,
    "h": 3600,
    "d": 86_400,
    "": 1,
}
# Constants of the core, by the name of their limit. Those with a setting that is a field, or an option of the engine, are found
# by the setting.
CONSTANTS = {
    "Client id, secret and arguments of a request together": ("request/credentials.rs", "MAX_LEN"),
    "Arguments that a client may set": ("request/span.rs", "MAX_ARGS"),
    "Clients' own tokens that wait for verification, in bytes": ("cache/flight.rs", "MAX_VERIFYING_BYTES"),
    "Access token": ("token/response.rs", "MAX_TOKEN"),
    "Token response": ("provider/context.rs", "MAX_ANSWER"),
    "Metadata, key set": ("provider/discovery.rs", "MAX_DOCUMENT"),
    "Header of a JWT": ("token/jws.rs", "MAX_HEADER"),
    "Keys in a key set": ("token/jwks.rs", "MAX_KEYS"),
    "Keys that are tried for a token without `kid`": ("token/jwks.rs", "MAX_TRIED"),
    "Connection, TLS included": ("http/resolve.rs", "CONNECT_TIMEOUT"),
    "Fetch of metadata or keys": ("provider/discovery.rs", "FETCH_TIMEOUT"),
    "File of a secret, a key or an assertion": ("sys/secret_file.rs", "MAX_LEN"),
    "Cached refusal of the gateway's own client": ("gate/rules.rs", "OWN_REFUSAL"),
    "Token that is kept although the upstream refuses it": ("engine/mod.rs", "BRAND_NEW"),
    "Metadata and keys without `Cache-Control`": ("provider/document.rs", "FRESH"),
    "Metadata and keys that cannot be fetched": ("provider/document.rs", "MAX_AGE"),
    "Signed assertion of the gateway": ("token/assertion.rs", "LIFETIME"),
    "First pause of the provider's circuit breaker": ("provider/health/breaker.rs", "FIRST_PAUSE"),
    "Distinct clients, one of them known to the provider, or connections in a row, that must fail to open it": (
        "provider/health/breaker.rs",
        "FAILURES",
    ),
    "Pause after a failed fetch of metadata or keys": ("provider/document.rs", "BACK_OFF"),
    "Longest pause after a failed fetch": ("provider/document.rs", "LONGEST_BACK_OFF"),
    "Interval between two log lines of failed requests to one provider": ("provider/health/mod.rs", "NOTED"),
    "Pause between two attempts to refresh a token": ("token/grant.rs", "REFRESH_PAUSE"),
    "`Retry-After` of the provider that is passed on": ("provider/refusal.rs", "MAX_RETRY_AFTER"),
    "Pause of unknown clients after a 429 of the provider": ("provider/health/mod.rs", "LONGEST_BUSY"),
    "Cached refusals": ("cache/refusals.rs", "MAX_REFUSALS"),
    "Clients known to the provider": ("provider/health/mod.rs", "MAX_KNOWN"),
    "Clients whose way of authentication is remembered": ("provider/mod.rs", "MAX_HABITS"),
    "Budgets of refused exchanges": ("provider/health/budget.rs", "BUCKETS"),
    "Log records that nginx has not collected yet": ("journal.rs", "CAPACITY"),
    "Clients with counters of their own": ("config/engine.rs", "MAX_CLIENTS"),
    "Operation of Redis": ("store/redis/mod.rs", "TIMEOUT"),
    "Operation of SQLite": ("store/sqlite/mod.rs", "DEFAULT_TIMEOUT"),
    "Value": ("store/mod.rs", "MAX_VALUE"),
    "Life of a stored token": ("store/entry.rs", "MAX_LIFE"),
    "Lease of a process that contacts the provider": ("store/mod.rs", "LEASE_LIFE"),
    "Difference between the clocks of hosts": ("store/mod.rs", "MAX_SKEW"),
    "Interval between two looks for purges": ("store/sharing.rs", "POLL"),
    "First pause of the store's circuit breaker": ("store/guard.rs", "FIRST_PAUSE"),
    "Longest pause of the store's circuit breaker": ("store/guard.rs", "LONGEST_PAUSE"),
    "Interval between two log lines of one kind of failure": ("store/guard.rs", "LOG_INTERVAL"),
    "Interval between two damaged files that are set aside": ("store/sqlite/disk.rs", "SET_ASIDE_EVERY"),
}


def rows() -> list[tuple[str, str, str]]:
    """The limits, their values and their settings."""
    tables = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*)\| [^|]*\|$", PAGE, re.MULTILINE)
    return [(name, value, setting.strip("` ")) for name, value, setting in tables if name != "limit"]


def written(value: str) -> float:
    number, _, unit = value.partition(" ")
    return float(number.replace(",", "")) * UNITS[unit]


def evaluated(expression: str) -> float:
    """The value of a constant expression in Rust: a number, or a duration in seconds."""
    unit = 1.0
    if duration := re.fullmatch(r"Duration::from_(secs|millis)\((.*)\)", expression):
        unit, expression = (0.001 if duration[1] == "millis" else 1.0), duration[2]
    assert re.fullmatch(r"[\d_ *]+", expression), expression
    factors = (int(factor.replace("_", "")) for factor in expression.split("*"))
    product = 1
    for factor in factors:
        product *= factor
    return product * unit


def constant(file: str, name: str) -> float:
    (expression,) = re.findall(rf"^(?:pub[^ ]* )?const {name}: \w+ = ([^;]+);", (CORE / file).read_text(), re.MULTILINE)
    return evaluated(expression)


def default(setting: str) -> float:
    """The default of a field of a gate, or of an option of an engine."""
    name = setting.removeprefix("credgate_")
    if name in FIELDS:
        return float(FIELDS[name]["default"]) * (UNITS["ms"] if name == "timeout" else 1)
    (expression,) = re.findall(rf"^            {name}: ([\d_ *]+),", (CORE / "config/engine.rs").read_text(), re.MULTILINE)
    return evaluated(expression)


def test_every_value_is_that_of_the_code() -> None:
    limits = rows()
    assert len(limits) > 50
    in_code = {
        name: constant(*CONSTANTS[name]) if name in CONSTANTS else default(setting) for name, _, setting in limits
    }
    assert {name: written(value) for name, value, _ in limits} == in_code


def test_every_constant_is_documented() -> None:
    assert [name for name in CONSTANTS if name not in {limit for limit, _, _ in rows()}] == []


def test_every_setting_is_a_directive() -> None:
    directives = (ROOT / "ffi/nginx/DIRECTIVES.md").read_text()
    for _, _, setting in rows():
        assert not setting or f"\n### {setting}\n" in directives, setting
