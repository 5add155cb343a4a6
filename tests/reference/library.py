"""The library under test, through its C ABI: one engine, one queue, and the verdict of a gate on a request.

The declarations are those of include/credgate.h. PyPy compiles the calls, so a verdict costs less than a microsecond.
"""

from __future__ import annotations

import json
import re
import select
from pathlib import Path
from typing import Any

import cffi

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "target/release/libcredgate.so"

OK, PENDING, EMPTY = 0, 1, 2
# A request: these fields as bytes, or None. "args" is a tuple of bytes, "repeated" a bool.
FIELDS = {
    name: name + "_len"
    for name in (
        "method",
        "authorization",
        "query",
        "content_type",
        "body",
        "client_id",
        "client_secret",
        "client_id_header",
        "client_secret_header",
    )
}


def declarations(header: str) -> str:
    """Returns the header without comments and preprocessor lines, as cffi reads it."""
    header = re.sub(r"/\*.*?\*/|^\s*//[^\n]*|//[^\n]*$", "", header, flags=re.DOTALL | re.MULTILINE)
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    return re.sub(r"^#(?:include|ifndef|endif|define CREDGATE_H)\b[^\n]*|^#define CREDGATE_H$", "", header, flags=re.MULTILINE)


ffi = cffi.FFI()
ffi.cdef(declarations((ROOT / "include/credgate.h").read_text()))


class Invalid(Exception):
    """A configuration that the library refuses."""


class Library:
    """An engine, and a queue for the exchanges that a caller starts."""

    def __init__(self, path: Path = LIBRARY, **options: Any) -> None:
        self.lib = ffi.dlopen(str(path))
        self.engine = ffi.new("credgate_engine **")
        self.queue = ffi.new("credgate_queue **")
        text = json.dumps(options).encode()
        self._check(self.lib.credgate_engine_new(text, len(text), self.engine, ffi.NULL))
        self._check(self.lib.credgate_queue_new(self.engine[0], self.queue, ffi.NULL))
        descriptor = ffi.new("int *")
        self._check(self.lib.credgate_queue_fd(self.queue[0], descriptor))
        self.poll = select.poll()
        self.poll.register(descriptor[0], select.POLLIN)
        self.request = ffi.new("credgate_request *")
        self.request.struct_size = ffi.sizeof("credgate_request")
        self.outcome = ffi.new("credgate_outcome *")
        self.outcome.struct_size = ffi.sizeof("credgate_outcome")
        self.completion = ffi.new("credgate_completion *")
        self.completion.struct_size = ffi.sizeof("credgate_completion")
        self.completion.outcome = self.outcome
        self.ticket = ffi.new("uint64_t *")
        self.arena = ffi.new("char[]", 1 << 19)
        self.strings = ffi.new("credgate_string[]", 16)
        self.out = ffi.new("char[]", 1 << 13)
        self.out_len = ffi.new("size_t *")
        self.seconds = ffi.new("uint64_t *")
        self.wants = ffi.new("bool *")
        self.causes: dict[int, str] = {}

    @staticmethod
    def _check(status: int) -> None:
        if status != OK:
            raise RuntimeError(f"status {status}")

    def gate(self, config: dict[str, Any], is_check: bool = False) -> Any:
        """Compiles a configuration, and derives the gate of the service that other proxies ask."""
        gate, error = ffi.new("credgate_gate **"), ffi.new("credgate_error **")
        text = json.dumps(config).encode()
        status = self.lib.credgate_gate_new(text, len(text), gate, error)
        if status == OK and is_check:
            base = gate[0]
            status = self.lib.credgate_gate_external(base, gate, error)
            self.lib.credgate_gate_free(base)
        if status != OK:
            message, length = ffi.new("char **"), ffi.new("size_t *")
            self.lib.credgate_error_message(error[0], message, length)
            raise Invalid(ffi.unpack(message[0], length[0]).decode())
        return gate[0]

    def free(self, gate: Any) -> None:
        self.lib.credgate_gate_free(gate)

    def purge(self) -> None:
        self._check(self.lib.credgate_engine_purge(self.engine[0], ffi.NULL, ffi.NULL, 0))

    def load(self, asked: Any) -> None:
        """Copies a request to the struct that the following calls use."""
        request, at, move = self.request, self.arena, ffi.memmove
        for name, length_name in FIELDS.items():
            value = getattr(asked, name)
            if value is None:
                setattr(request, name, ffi.NULL)
                setattr(request, length_name, 0)
            else:
                length = len(value)
                move(at, value, length)
                setattr(request, name, at)
                setattr(request, length_name, length)
                at += length
        request.repeated_header = asked.repeated
        if asked.args:
            request.args, request.arg_size = self.strings, ffi.sizeof("credgate_string")
            for index, value in enumerate(asked.args):
                move(at, value, len(value))
                self.strings[index].data, self.strings[index].len = at, len(value)
                at += len(value)

    def give_args(self, count: int) -> None:
        """Presents this number of the loaded arguments: a host passes on as many as a gate has names."""
        self.request.args_len = count

    def at_once(self, gate: Any) -> bool:
        """Decides on the loaded request. False: an exchange is needed."""
        status = self.lib.credgate_authenticate_at_once(gate, self.queue[0], self.request, self.outcome)
        if status > EMPTY:
            raise RuntimeError(f"status {status}")
        return status == OK

    def exchange(self, gate: Any) -> None:
        """Decides on the loaded request, with an exchange if one is needed."""
        queue, outcome = self.queue[0], self.outcome
        status = self.lib.credgate_authenticate(gate, queue, self.request, ffi.NULL, outcome, self.ticket)
        while status in (PENDING, EMPTY):
            self.poll.poll(20_000)
            status = self.lib.credgate_queue_next(queue, self.completion)
        self._check(status)

    def release(self) -> None:
        self.lib.credgate_outcome_release(self.outcome)

    def cause(self, code: int) -> str:
        if code not in self.causes:
            self.causes[code] = ffi.string(self.lib.credgate_cause_name(code)).decode()
        return self.causes[code]

    def authorization(self) -> bytes:
        return ffi.unpack(self.outcome.authorization, self.outcome.authorization_len)

    def client_id(self) -> bytes:
        return ffi.unpack(self.outcome.client_id, self.outcome.client_id_len)

    def expires_in(self) -> int | None:
        """Returns the seconds for which the gate serves the token of the outcome from its cache."""
        status = self.lib.credgate_outcome_expires_in(self.outcome, self.seconds)
        return self.seconds[0] if status == OK else None

    def presented(self, gate: Any) -> bytes | None:
        """Returns the client id that the loaded request presents."""
        status = self.lib.credgate_gate_presented_client_id(gate, self.request, self.out, 1 << 13, self.out_len)
        return ffi.unpack(self.out, self.out_len[0]) if status == OK else None

    def wants_body(self, gate: Any, length: int) -> bool:
        self._check(self.lib.credgate_gate_wants_body(gate, self.request, length, self.wants))
        return bool(self.wants[0])
