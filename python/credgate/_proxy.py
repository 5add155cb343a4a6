"""`python -m credgate proxy`: a small reverse proxy for trying a gate without nginx."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import credgate
from credgate import _arguments
from credgate._client import is_here

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
A small reverse proxy for development. It does what the nginx module does, for one upstream. It
accepts plain HTTP/1.1 only, and carries no WebSocket connections.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "proxy",
        help="run a reverse proxy, to try a gate without nginx",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    _arguments.add_to(parser)
    parser.add_argument(
        "--upstream", required=True, metavar="URL", help="the URL that requests are forwarded to"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8000",
        metavar="HOST:PORT",
        help="the address to listen on (default 127.0.0.1:8000; port 0 picks a free port)",
    )
    parser.add_argument(
        "--optional",
        action="store_true",
        help="forward requests that would get 401 without a token: those without credentials, and "
        "those with credentials that the provider refuses",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        import uvicorn  # noqa: PLC0415

        from credgate.proxy import create_app  # noqa: PLC0415
    except ImportError as error:
        message = f'The proxy needs more packages ({error}): pip install "credgate[proxy]"'
        raise SystemExit(message) from error
    config = _arguments.read(options)
    try:
        gate = credgate.Gate(config)
    except credgate.ConfigError as error:
        _arguments.wrong(options, str(error))
    try:
        app = create_app(gate, options.upstream, optional=options.optional)
    except ValueError as error:
        _arguments.wrong(options, f"--upstream: {error}")
    host, listener = _listen(options)
    # The lines for requests, and the server's errors.
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logger = logging.getLogger("credgate.proxy")
    logger.setLevel(logging.INFO)
    logging.getLogger("credgate.asgi").disabled = True  # the lines contain its denials
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    here = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    logger.info(_welcome(here, gate, options, is_local=is_here(host)))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        logger.info("\nStopped.")
    return 0


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Return whether a record is worth showing: Ctrl-C cancels the responses that are streaming."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


def _listen(options: argparse.Namespace) -> tuple[str, socket.socket]:
    try:
        url = urlsplit(f"//{options.listen}")
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host or port is None:
        _arguments.wrong(options, "--listen: must be HOST:PORT with a port up to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return host, socket.create_server((host, port), family=family)
    except OSError as error:
        _arguments.wrong(options, f"--listen {options.listen}: {error}")


def _welcome(here: str, gate: credgate.Gate, options: argparse.Namespace, *, is_local: bool) -> str:
    is_own = bool(gate.config.get("client_id"))  # requests bring no credentials
    settings = _arguments.written(options)
    if not is_own:
        settings += ' --client-id "$CLIENT_ID"'
    lines = [
        f"credgate {credgate.__version__}: {here} -> {options.upstream}, for development only.",
        f"Exchanges credentials at {gate.config['issuer']}.",
        "",
        "Try, in another terminal:",
        *([] if is_own else [f'    curl -i -u "$CLIENT_ID:$CLIENT_SECRET" {here}/']),
        f"    curl -i {here}/",
        "",
        "Explain how the provider responds to these settings:",
        f"    python -m credgate check {settings}",
        "",
        "Press Ctrl-C to stop. Requests:",
    ]
    if not is_local:
        lines.insert(
            1,
            "WARNING: listens on the network without TLS; anyone on the path can read secrets.",
        )
    return "\n".join(lines)
