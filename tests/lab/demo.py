"""The demonstration: four ways to present credentials, and the upstream request of each.

demo.py [--keep]
"""

import base64
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.http import SOURCES, Answer, Client, ask
from support.lab import Authority, Provider, Upstream, bearer
from support.nginx import AUDIENCE, STATUS, Nginx, gate, location

CLIENTS = {
    "header": Client("alice", "Kanarie7Qz+/%&=:?#x"),
    "query": Client("bob", "Sperling4Wt~!@$^*(y)"),
    "form": Client("carol", "Amsel2Rk'<>,;|z"),
    "json": Client("dave", "Drossel9Lm`{}[]q"),
}
TITLES = {
    "header": "HTTP Basic",
    "query": "Query string",
    "form": "Form body",
    "json": "JSON body",
}


class Failed(Exception):
    """Credgate broke a promise."""


def expect(truth: object, promise: str) -> None:
    if not truth:
        raise Failed(promise)


def row(name: str, *lines: str) -> None:
    for number, line in enumerate(lines):
        print(f"  {name if number == 0 else '':<17} {line}")


def masked(client: Client, text: str) -> str:
    """`text` for the screen: the secret, in any encoding, becomes dots."""
    text = text.replace(client.pair, f"base64({client.id}:••••••)")
    for spelling in sorted(client.spellings(), key=len, reverse=True):
        text = text.replace(spelling.decode(), "••••••")
    return text


def claims(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def show_sent(client: Client, request: dict[str, Any]) -> None:
    lines = [f"{request.get('method', 'GET')} {request['target']}"]
    lines += [f"{name}: {value}" for name, value in request.get("headers", {}).items()]
    lines += [str(request["body"])] if "body" in request else []
    row("client sends", *(masked(client, line) for line in lines))


def show_upstream(seen: dict[str, Any]) -> None:
    lines = [seen["line"]]
    for name, value in seen["headers"]:
        short = f"{value[:30]}… ({len(value)} characters)" if name.lower() == "authorization" else value
        lines.append(f"{name}: {short}")
    row("upstream receives", *lines, *([seen["body"]] if seen["body"] else []))
    token = claims(bearer(seen))
    left = token["exp"] - int(time.time())
    row("the token says", f"iss {token['iss']}", f"aud {token['aud']}", f"exp {token['exp']} (in {left} s)")


def show_denial(answer: Answer) -> None:
    names = ("Content-Type", "WWW-Authenticate")
    headers = [f"{name}: {value}" for name in names for value in answer.all(name)]
    row("gateway answers", str(answer.status), *headers, answer.body.decode())


def present(source: str, server: Nginx, upstream: Upstream) -> None:
    """One client, twice: the first request is exchanged, the second is a cache hit."""
    client = CLIENTS[source]
    request = client.request(source, "/orders")
    show_sent(client, request)
    results = []
    for expected in ("MISS", "HIT"):
        start = time.monotonic()
        answer = ask(server.port, **request)
        took = (time.monotonic() - start) * 1000
        status = answer.header("X-Credgate-Status")
        note = "exchanged at the provider" if status == "MISS" else "token from the cache"
        results.append(f"{answer.status} {status:<4}  {note}, {took:.1f} ms")
        expect(answer.status == 200, f"{client.id} is let in, not answered {answer.status} {answer.body!r}")
        expect(status == expected, f"the status is {expected}, not {status}")
        seen = upstream.last
        expect(claims(bearer(seen))["aud"] == AUDIENCE, "the token is for the configured audience")
        expect(not client.traces(seen["raw"]), "no byte of the secret reaches the upstream")
    row("gateway answers", *results)
    show_upstream(seen)


def show_status(server: Nginx) -> None:
    """The counters of the requests above."""
    target = "/status"
    row("operator sends", f"GET {target}")
    answer = ask(server.port, target, headers={"Accept": "application/json"})
    status = json.loads(answer.body)
    lines = [
        f"{way:<8} " + ", ".join(f"{count} {name.upper()}" for name, count in status[way].items())
        for way in ("allowed", "denied")
    ]
    row("gateway answers", *lines)
    clients = len(SOURCES)
    expect(status["allowed"] == {"miss": clients, "hit": clients}, "each client has one miss and one hit")


def demonstrate(directory: Path, keep: bool) -> int:
    """Returns the provider's count of exchanges."""
    with ExitStack() as stack:
        authority = Authority.create(directory / "ca")
        provider = stack.enter_context(
            Provider(list(CLIENTS.values()), directory / "provider.log", tls=authority).start()
        )
        upstream = stack.enter_context(Upstream(directory / "upstream.log").start())
        trusted = f"credgate_ssl_trusted_certificate {authority.ca}"
        issuer = f"{provider.issuer}/.well-known/openid-configuration"
        block = location("/", *gate(issuer, trusted), STATUS, f"proxy_pass {upstream.url}")
        page = location("= /status", "credgate_status")
        server = stack.enter_context(Nginx(directory / "nginx", block + page))

        print("\nCredgate: the way of a client's secret\n")
        row("provider", f"{provider.issuer}   a certified OpenID provider behind a private CA")
        row("gateway", f"http://127.0.0.1:{server.port}    nginx with the credgate module")
        row("upstream", f"{upstream.url}    remembers every byte that it receives")
        print("\nThe gateway's configuration\n")
        print("  " + (block + page).strip().replace("\n", "\n  "))

        for number, source in enumerate(SOURCES, 1):
            print(f"\n{number}. {TITLES[source]}\n")
            present(source, server, upstream)

        alice = CLIENTS["header"]
        wrong = alice.wrong()
        reached = len(upstream.seen)
        print("\n5. A wrong secret\n")
        request = wrong.request("header", "/orders")
        show_sent(wrong, request)
        answer = ask(server.port, **request)
        show_denial(answer)
        expect(answer.status == 401, "a wrong secret is unauthorized")

        print("\n6. No credentials\n")
        show_sent(alice, {"target": "/orders"})
        answer = ask(server.port, "/orders")
        show_denial(answer)
        expect(answer.status == 401, "no credentials are unauthorized")
        expect(len(upstream.seen) == reached, "no denied request reaches the upstream")

        print("\n7. The operator's status\n")
        show_status(server)

        everything = [server.logs, *(file.read_bytes() for file in directory.glob("*.log"))]
        expect(b'"GET /orders' in server.logs, "the access log was written")
        for client in (*CLIENTS.values(), wrong):
            expect(not client.traces(*everything), "no byte of a secret is in a log")

        print("\nChecked\n")
        row("secrets", "none reached the upstream, none is in a log of gateway, provider or upstream")
        row("audience", f"every token was for {AUDIENCE}")
        row("denied requests", "none reached the upstream")
        if keep:
            print("\nEverything stays up until Ctrl-C. Open the status page in a browser\n")
            print(f"  http://127.0.0.1:{server.port}/status\n")
            print("Try\n")
            print(f"  curl -i -u '{alice.id}:{alice.secret}' http://127.0.0.1:{server.port}/anything")
            print(f"  tail -f {server.access_log}\n")
            print("The client and the provider for the examples of the README, with one more setting\n")
            print(f"  export CLIENT_ID='{alice.id}' CLIENT_SECRET='{alice.secret}'")
            print(f"  issuer {provider.issuer}/")
            print(f"  ssl_trusted_certificate {authority.ca}\n", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print()
        return int(provider.count["token"])


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="credgate-demo.") as directory:
            count = demonstrate(Path(directory), "--keep" in sys.argv[1:])
    except Failed as promise:
        print(f"\nFAILED: expected that {promise}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nexchanges counted by the provider: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
