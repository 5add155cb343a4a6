"""The C library as it is built, and C programs with it."""

from pathlib import Path

from support.process import ROOT, run

LIBRARY = ROOT / "target/release"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def linked(library: Path = LIBRARY) -> list[str]:
    """The options for a compiler, behind its source: the header, and the library in that directory."""
    return [f"-I{ROOT}/include", f"-L{library}", f"-Wl,-rpath,{library}", "-lcredgate"]


def compiled(source: Path, directory: Path, *options: str) -> Path:
    """A C program, built against the header and the library."""
    program = directory / source.stem
    run("gcc", "-std=c11", *WARNINGS, source, *linked(), *options, "-o", program)
    return program
