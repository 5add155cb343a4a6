"""The C ABI: the header in C and C++, the shared library, the example, and the assertions of abi.c."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import Client
from support.lab import Provider
from support.library import LIBRARY, linked
from support.process import ROOT, free_port, run

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
VALGRIND = ["valgrind", "-q", "--error-exitcode=9"]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Compiles a C program against the header and the library."""

    def compile_program(source: Path, *options: str) -> Path:
        program = tmp_path / source.stem
        run("gcc", "-std=c11", *WARNINGS, *options, source, *linked(), "-o", program)
        return program

    return compile_program


def configuration(directory: Path, issuer: str) -> Path:
    path = directory / "gate.json"
    seed = {
        "auth_methods": ["client_credentials"],
        "issuer": issuer,
        "token_post_args_names": ["audience"],
        "token_post_args_values": ["https://example.com/"],
    }
    path.write_text(json.dumps({**seed, "allow_loopback_http": True}))
    return path


def basic(client: Client) -> str:
    return "Basic " + base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()


@pytest.mark.parametrize(("compiler", "standard", "language"), [("gcc", "c11", "c"), ("g++", "c++17", "c++")])
def test_header_is_self_contained_and_stands_beside_others(
    tmp_path: Path, compiler: str, standard: str, language: str
) -> None:
    others = ["stdlib.h", "string.h", *(["string"] if language == "c++" else [])]
    lines = [f"#include <{name}>" for name in ("credgate.h", *others, "credgate.h")]
    source = tmp_path / "header.c"
    source.write_text("\n".join([*lines, "int main(void) { return 0; }\n"]))
    run(compiler, f"-std={standard}", *WARNINGS, f"-I{ROOT}/include", "-fsyntax-only", "-x", language, source)


def test_library_exports_exactly_the_functions_of_the_header() -> None:
    exported = set(re.findall(r" T (\w+)", run("nm", "-D", "--defined-only", LIBRARY / "libcredgate.so").stdout))
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", (ROOT / "include/credgate.h").read_text(), flags=re.DOTALL)
    declared = set(re.findall(r"\b(\w+)\(", code))
    assert exported == declared
    assert all(name.startswith("credgate_") for name in exported), exported


def test_library_needs_no_openssl_and_is_never_unloaded() -> None:
    undefined = run("nm", "-D", "--undefined-only", LIBRARY / "libcredgate.so").stdout
    assert not re.findall(r"\b(?:OPENSSL|SSL|EVP|CRYPTO|BIO|X509)_\w+", undefined)
    dynamic = run("readelf", "-d", LIBRARY / "libcredgate.so").stdout
    assert not re.findall(r"NEEDED.*\[lib(?:ssl|crypto)", dynamic)
    assert "soname: [libcredgate.so.1]" in dynamic
    assert "NODELETE" in dynamic


def test_assertions_of_a_c_host_hold(build: Callable[..., Path]) -> None:
    program = build(ROOT / "tests/c/abi.c", "-D_DEFAULT_SOURCE")
    issuer = f"http://127.0.0.1:{free_port()}"
    expected = len(re.findall(r"^ {4}puts\(", (ROOT / "tests/c/abi.c").read_text(), re.MULTILINE))
    assert len(run(program, issuer).stdout.splitlines()) == expected
    # The forked child cannot free its parent's engine, so this run does not check for leaks.
    run(*VALGRIND, "--leak-check=no", program, issuer)


def test_example_authenticates_in_a_poll_loop(build: Callable[..., Path], tmp_path: Path, provider: Provider) -> None:
    program = build(ROOT / "ffi/examples/poll_loop.c", "-D_POSIX_C_SOURCE=200809L")
    gate = configuration(tmp_path, provider.issuer)
    done = run(program, gate, "GET", basic(ALICE), "", basic(ALICE), "")
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"request: allow MISS client alice, \d+ bytes of token", first)
    assert re.fullmatch(r"request: allow JOINED client alice, \d+ bytes of token", second)
    assert provider.count["token"] == 1
    denied = run(program, gate, "GET", "Basic YWxpY2U6d3Jvbmc=", check=False)
    assert (denied.returncode, denied.stdout) == (
        1,
        'request: deny 401 MISS (credentials_refused) {"message":"Unauthorized"}\n',
    )


def test_example_runs_clean_under_valgrind(build: Callable[..., Path], tmp_path: Path, provider: Provider) -> None:
    program = build(ROOT / "ffi/examples/poll_loop.c", "-D_POSIX_C_SOURCE=200809L")
    gate = configuration(tmp_path, provider.issuer)
    leaks = ["--leak-check=full", "--show-leak-kinds=definite,possible"]
    run(*VALGRIND, *leaks, program, gate, "GET", basic(ALICE), "", basic(ALICE), "")


def test_valgrind_detects_a_leak_and_a_bad_read(tmp_path: Path, build: Callable[..., Path]) -> None:
    source = tmp_path / "planted.c"
    leak = "kept = malloc(10); kept = NULL; return 0;"
    read = "kept = malloc(10); free(kept); return kept[0];"
    for body in (leak, read):
        source.write_text(f"#include <stdlib.h>\nchar *volatile kept;\nint main(void) {{ {body} }}\n")
        program = build(source, "-Wno-use-after-free", "-O0")
        assert run(*VALGRIND, "--leak-check=full", program, check=False).returncode == 9
