"""The tables of core/FAULTS.md, from the tables that the tests run."""

import sys
from collections.abc import Iterable

from faults import provider_faults, store_faults
from faults.rows import Fault
from faults.store_faults import StoreFault
from support.process import ROOT

DOCUMENT = ROOT / "core/FAULTS.md"


def recovery(fault: Fault) -> str:
    """The time until the next token, in words."""
    if fault.recovery is None:
        return "the next request"
    seconds = f"within {fault.recovery:g} s"
    if lifetime := fault.settings.get("rediscovery_lifetime"):
        pause = fault.recovery - lifetime
        return "within `rediscovery_lifetime`" + (f" and {pause:g} s" if pause else "")
    return f"other clients {seconds}" if fault.others_recover else seconds


def provider_row(fault: Fault) -> tuple[str, ...]:
    expect = fault.expect
    retry_after = "" if expect.retry_after is None else str(expect.retry_after)
    cause = f"`{expect.cause}`" if expect.cause else "(a token)"
    return fault.title, str(expect.status), retry_after, cause, recovery(fault)


def store_row(fault: StoreFault) -> tuple[str, ...]:
    says = f'"{fault.says}"' if fault.says and fault.says.rstrip() != "store SQLite" else ""
    return fault.title, fault.counted, says, fault.recovery or "by itself"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def chapter(sections: dict[str, str]) -> str:
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in sections.items())


def generated() -> dict[str, str]:
    """The generated parts, by name."""
    provider = ("fault", "status", "`Retry-After`", "cause", "recovery")
    store = ("fault", "counted", "the log says", "recovery")
    return {
        "provider": chapter(
            {name: table(provider, map(provider_row, rows)) for name, rows in provider_faults.SECTIONS.items()}
        ),
        "store": chapter({name: table(store, map(store_row, rows)) for name, rows in store_faults.SECTIONS.items()}),
    }


def expected(text: str) -> str:
    """The document with its generated parts."""
    for name, part in generated().items():
        begin, end = f"<!-- {name} faults -->\n", f"<!-- end of {name} faults -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{part}\n\n{end}{after}"
    return text


def main() -> int:
    """Writes the tables into the document."""
    DOCUMENT.write_text(expected(DOCUMENT.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
