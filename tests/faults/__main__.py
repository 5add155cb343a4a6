"""Runs the tables of faults, and histories of a store.

    python -m faults provider [--long]   every provider fault in every host; with --long, waits for slow recoveries too
    python -m faults store               every store fault in every host
    python -m faults history [--long]    a history of each store with kills and purges: 20 s, or a million operations
    python -m faults document            writes the tables into core/FAULTS.md
"""

import sys
import tempfile
import time
from pathlib import Path

from faults import document, provider_matrix, store_matrix
from faults.history import run as history

OPERATIONS = 60_000
LONG_OPERATIONS = 600_000
"""Of each store."""


def main(part: str, *options: str) -> int:
    is_long = "--long" in options
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="credgate-faults-") as name:
        directory = Path(name)
        # Workers of nginx may run as another user.
        directory.chmod(0o755)
        match part:
            case "provider":
                cells = provider_matrix.measure(directory, is_long=is_long)
                print(provider_matrix.table(cells))
                problems = sum(map(bool, (cell.problems for cell in cells)))
                print(f"{len(cells)} cells, {problems} with problems, {time.monotonic() - began:.0f} s")
            case "store":
                rows = store_matrix.measure(directory)
                print(store_matrix.table(rows))
                problems = sum(map(bool, (row.problems for row in rows)))
                print(f"{len(rows)} faults in {len(store_matrix.STARTERS)} hosts, {problems} with problems, {time.monotonic() - began:.0f} s")
            case "history":
                reports = history.measure(directory, operations=LONG_OPERATIONS if is_long else OPERATIONS)
                for store, report in reports.items():
                    print(f"{store}: {report}")
                problems = sum(len(report.violations) for report in reports.values())
                print(f"{sum(report.operations for report in reports.values()):,} operations, {problems} violations, {time.monotonic() - began:.0f} s")
            case "document":
                return document.main()
            case _:
                print(__doc__)
                return 2
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
