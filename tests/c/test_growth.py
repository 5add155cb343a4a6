"""Growth of the C ABI: hosts and libraries of different age work together, and version 1 is frozen."""

import ctypes
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.lab import Provider
from support.library import linked
from support.process import ROOT, run

HEADER = ROOT / "include/credgate.h"
TABLE = ROOT / "tests/c/abi-1.txt"
PARTS = ["a completion", "a hit", "a denial", "a bypass", "counters", "clients", "a page"]
# A later version of the library: each struct has one more field, and there is one more counter.
BUILD = ["cargo", "rustc", "--quiet", "--locked", "-p", "credgate-ffi", "--lib", "--crate-type", "cdylib"]


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds a library of a later version, and returns its directory."""
    run(*BUILD, "--manifest-path", ROOT / "Cargo.toml", "--", "--cfg", "credgate_grown", seconds=900)
    return install(ROOT / "target/debug/libcredgate.so", tmp_path_factory.mktemp("grown"))


def install(library: Path, directory: Path) -> Path:
    shutil.copy(library, directory / "libcredgate.so.1")
    (directory / "libcredgate.so").symlink_to("libcredgate.so.1")
    return directory


@pytest.fixture
def host(tmp_path: Path, provider: Provider) -> Callable[..., tuple[int, list[str], str]]:
    """Runs tests/c/growth.c with a library; its structs are `larger` bytes larger than those of the header."""
    gate = {
        "issuer": provider.issuer,
        "allow_loopback_http": True,
        "token_post_args_names": ["audience"],
        "token_post_args_values": ["https://example.com/"],
        "token_post_args_host": ["x_tenant", "x_region"],
        "upstream_headers_claims": ["sub"],
        "upstream_headers_names": ["x-client"],
    }
    (tmp_path / "gate.json").write_text(json.dumps(gate))

    def run_host(library: Path, larger: int) -> tuple[int, list[str], str]:
        program = tmp_path / f"growth{larger}"
        options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-DGROWN={larger}"]
        run("gcc", *options, ROOT / "tests/c/growth.c", *linked(library), "-o", program)
        done = run(program, tmp_path / "gate.json", ALICE.basic["Authorization"], check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run_host


def test_an_older_host_works_with_a_newer_library(host: Callable[..., tuple[int, list[str], str]], grown: Path) -> None:
    assert host(grown, 0) == (0, PARTS, "")


def test_a_newer_host_works_with_an_older_library(
    host: Callable[..., tuple[int, list[str], str]], tmp_path: Path
) -> None:
    library = tmp_path / "today"
    library.mkdir()
    assert host(install(ROOT / "target/release/libcredgate.so", library), 64) == (0, PARTS, "")


def test_the_newer_library_uses_its_new_fields(host: Callable[..., tuple[int, list[str], str]], grown: Path) -> None:
    # This host states sizes that include the canaries, which are invalid values for the new fields.
    status, parts, message = host(grown, 64)
    assert status != 0
    assert parts == []
    assert "wants_body" in message


def table(directory: Path) -> str:
    """Returns the sizes, offsets and numbers of the header, and the meaning of the counters."""
    header = HEADER.read_text()
    lines = [f"{name} {value}" for name, value in re.findall(r"^#define CREDGATE_(\w+) (\d+)$", header, re.MULTILINE)]
    prints = []
    for struct, body in re.findall(r"^typedef struct (\w+) \{\n(.*?)^\}", header, re.MULTILINE | re.DOTALL):
        prints.append(f'printf("sizeof({struct}) %zu\\n", sizeof({struct}));')
        for field in re.findall(r"(\w+);$", body, re.MULTILINE):
            place = f"offsetof({struct}, {field}), sizeof((({struct} *) 0)->{field})"
            prints.append(f'printf("{struct}.{field} %zu %zu\\n", {place});')
    source = directory / "table.c"
    body = "\n".join(prints)
    source.write_text(f"#include <credgate.h>\n#include <stdio.h>\nint main(void) {{\n{body}\nreturn 0;\n}}\n")
    run("gcc", f"-I{ROOT}/include", source, "-o", directory / "table")
    lines += run(directory / "table").stdout.splitlines()
    count = int(re.findall(r"^#define CREDGATE_COUNTERS_V1 (\d+)$", header, re.MULTILINE)[0])
    numbers = (ctypes.c_uint64 * count)(*range(1, count + 1))
    text = ctypes.create_string_buffer(65536)
    size = ctypes.c_size_t()
    library = ctypes.CDLL(str(ROOT / "target/release/libcredgate.so"))
    arguments = (numbers, ctypes.c_size_t(count), text, ctypes.c_size_t(len(text)), ctypes.byref(size))
    assert library.credgate_counters_text(*arguments) == 0
    lines += [line for line in text.raw[: size.value].decode().splitlines() if not line.startswith("#")]
    return "\n".join(lines) + "\n"


def test_version_1_is_frozen(tmp_path: Path) -> None:
    frozen = TABLE.read_text().splitlines()
    # These may grow; other lines must remain.
    growing = re.compile(r"COUNTERS \d+|sizeof\(")
    now = set(table(tmp_path).splitlines())
    assert [line for line in frozen if line not in now and not growing.match(line)] == []


def test_structs_of_version_1_do_not_shrink(tmp_path: Path) -> None:
    def sizes(text: str) -> dict[str, int]:
        return {name: int(size) for name, size in re.findall(r"^sizeof\((\w+)\) (\d+)$", text, re.MULTILINE)}

    now = sizes(table(tmp_path))
    for struct, size in sizes(TABLE.read_text()).items():
        assert now[struct] >= size, struct
