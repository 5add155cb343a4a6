"""Compares the files of two builds bit by bit, and describes the first difference of each.

    python -m support.same_bits DIRECTORY DIRECTORY

Prints each file's SHA-256 if both builds made the same one. Otherwise names the members of an archive and the sections of
an ELF file that differ, with the first differing bytes and the text around them, and ends with 1.
"""

import hashlib
import io
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

CONTEXT = 24
ELF, ZIP = b"\x7fELF\x02\x01", b"PK\x03\x04"


def differences(first: bytes, second: bytes) -> Iterator[str]:
    """One line for each part that differs."""
    if first == second:
        return
    if first.startswith(ZIP) and second.startswith(ZIP):
        found = list(_of_archives(first, second))
    elif first.startswith(ELF) and second.startswith(ELF):
        found = list(_of_sections(first, second))
    else:
        found = []
    # Without a part that differs, the difference is in the headers between them.
    yield from found or [_first_difference(first, second)]


def _of_archives(first: bytes, second: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(first)) as one, zipfile.ZipFile(io.BytesIO(second)) as two:
        if one.namelist() != two.namelist():
            only = sorted(set(one.namelist()) ^ set(two.namelist()))
            yield f"members: {', '.join(only)} in one only" if only else "members: another order"
        for name in one.namelist():
            if name not in two.namelist():
                continue
            yield from (f"{name}: {line}" for line in _of_members(one.getinfo(name), two.getinfo(name)))
            yield from (f"{name}: {line}" for line in differences(one.read(name), two.read(name)))


def _of_members(one: zipfile.ZipInfo, two: zipfile.ZipInfo) -> Iterator[str]:
    for field in ("date_time", "external_attr", "compress_type", "create_system", "extra"):
        if getattr(one, field) != getattr(two, field):
            yield f"{field} {getattr(one, field)!r} | {getattr(two, field)!r}"


def _of_sections(first: bytes, second: bytes) -> Iterator[str]:
    one, two = sections(first), sections(second)
    if list(one) != list(two):
        only = sorted(set(one) ^ set(two))
        yield f"sections: {', '.join(only)} in one only" if only else "sections: another order"
    for name in one:
        if name in two and one[name] != two[name]:
            yield f"section {name}: {_first_difference(one[name], two[name])}"


def sections(elf: bytes) -> dict[str, bytes]:
    """The content of each section of a 64-bit little-endian ELF file, by its name."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names_at = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + index * size) for index in range(count)]
    names = elf[headers[names_at][4] :]
    no_bits = 8
    return {
        names[name : names.index(b"\0", name)].decode(): b"" if kind == no_bits else elf[offset : offset + length]
        for name, kind, _, _, offset, length in headers
    }


def _first_difference(first: bytes, second: bytes) -> str:
    at = next((index for index, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return f"{len(first)} bytes | {len(second)} bytes, the shorter is the beginning of the longer"
    start = max(0, at - CONTEXT)
    shown = [ascii(content[start : at + CONTEXT].decode("latin-1")) for content in (first, second)]
    sizes = "" if len(first) == len(second) else f", {len(first)} bytes | {len(second)} bytes"
    return f"at {at:#x}{sizes}: {shown[0]} | {shown[1]}"


def main(arguments: list[str]) -> int:
    one, two = map(Path, arguments)
    names = sorted({path.name for directory in (one, two) for path in directory.iterdir() if path.is_file()})
    different = 0 if names else 1
    for name in names:
        if not ((one / name).exists() and (two / name).exists()):
            lines = ["in one build only"]
        else:
            lines = list(differences((one / name).read_bytes(), (two / name).read_bytes()))
        if lines:
            different += 1
            print(f"differs {name}", *lines, sep="\n        ")
        else:
            print(f"same    {hashlib.sha256((one / name).read_bytes()).hexdigest()}  {name}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
