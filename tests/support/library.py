"""The C library as it is built, and how a C program finds it."""

from pathlib import Path

from support.process import ROOT

LIBRARY = ROOT / "target/release"


def linked(library: Path = LIBRARY) -> list[str]:
    """The options for a compiler, behind its source: the header, and the library in that directory."""
    return [f"-I{ROOT}/include", f"-L{library}", f"-Wl,-rpath,{library}", "-lcredgate"]
