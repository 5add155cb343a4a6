"""The C ABI: the header in C and C++, the shared library, and the assertions of abi.c."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.library import LIBRARY, WARNINGS, compiled
from support.process import ROOT, free_port, run

VALGRIND = ["valgrind", "-q", "--error-exitcode=9"]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Compiles a C program against the header and the library."""

    return lambda source, *options: compiled(source, tmp_path, *options)


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


def test_valgrind_detects_a_leak_and_a_bad_read(tmp_path: Path, build: Callable[..., Path]) -> None:
    source = tmp_path / "planted.c"
    leak = "kept = malloc(10); kept = NULL; return 0;"
    read = "kept = malloc(10); free(kept); return kept[0];"
    for body in (leak, read):
        source.write_text(f"#include <stdlib.h>\nchar *volatile kept;\nint main(void) {{ {body} }}\n")
        program = build(source, "-Wno-use-after-free", "-O0")
        assert run(*VALGRIND, "--leak-check=full", program, check=False).returncode == 9
