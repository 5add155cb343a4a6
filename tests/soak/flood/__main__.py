"""The command of the package."""

import argparse
import shutil
import sys
from pathlib import Path

import uvloop

from soak.flood.floods import FLOODS, SIZES
from soak.flood.scene import MIB, Result, scene
from support.process import ROOT, allow_descriptors


async def run(names: list[str], size: str, directory: Path) -> list[Result]:
    results = []
    for name in names:
        async with scene(directory / name) as one:
            results.append(await FLOODS[name](one, SIZES[size]))
            print(render(results[-1]), flush=True)
    return results


def render(result: Result) -> str:
    def pair(name: str) -> str:
        return f"{result.provider[name]} of {result.budget[name]}"

    statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(result.statuses.items()))
    lines = [
        f"{result.name}: {result.statuses.total():,} requests in {result.seconds:.1f} s: {statuses}",
        f"  provider: refused exchanges {pair('token')}, keys {pair('jwks')}, metadata {pair('metadata')} allowed",
        f"  warm clients: {result.warm:,} requests, {len(result.failures)} failures",
        f"  memory: a worker grew by {result.memory / MIB:.1f} MiB of {result.bound / MIB:.1f} allowed",
        *(f"  FAILED: {problem}" for problem in result.problems),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak.flood")
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("floods", nargs="*", metavar="FLOOD")
    options = parser.parse_args()
    directory = ROOT / "target/flood"
    shutil.rmtree(directory, ignore_errors=True)
    allow_descriptors()
    return any(result.problems for result in uvloop.run(run(options.floods or list(FLOODS), options.size, directory)))


if __name__ == "__main__":
    sys.exit(main())
