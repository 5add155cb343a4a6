"""The comparison of two builds finds a planted difference, and says where it is."""

import hashlib
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from support.process import run
from support.same_bits import differences, main, sections

SOURCE = 'const char *version(void) {{ return "{}"; }}\nint answer(void) {{ return {}; }}\n'


def library(directory: Path, text: str = "1.0", answer: int = 1) -> bytes:
    (directory / "planted.c").write_text(SOURCE.format(text, answer))
    built = directory / "planted.so"
    run("gcc", "-shared", "-fPIC", "-Wl,--build-id=none", directory / "planted.c", "-o", built)
    return built.read_bytes()


def wheel(path: Path, content: bytes, when: float = 0, name: str = "package/_module.so") -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, time.gmtime(315_532_800 + when)[:6]), content)
    return path.read_bytes()


def test_equal_builds_have_no_difference(tmp_path: Path) -> None:
    built = library(tmp_path)
    assert not list(differences(built, library(tmp_path)))
    assert not list(differences(wheel(tmp_path / "a", built), wheel(tmp_path / "b", built)))


def test_another_string_is_found_in_its_section(tmp_path: Path) -> None:
    (line,) = differences(library(tmp_path, "/home/one/src"), library(tmp_path, "/home/two/src"))
    assert line.startswith("section .rodata: at 0x")
    assert "/home/one/src" in line and "/home/two/src" in line


def test_other_instructions_are_found_in_their_section(tmp_path: Path) -> None:
    (line,) = differences(library(tmp_path), library(tmp_path, answer=2))
    assert line.startswith("section .text: at 0x")


def test_every_section_of_a_real_library_is_compared(tmp_path: Path) -> None:
    built = library(tmp_path)
    for name, content in sections(built).items():
        # A section without a place of its own in the file cannot differ there.
        if len(content) > 8 and built.count(content) == 1:
            at = built.index(content) + len(content) // 2
            changed = built[:at] + bytes([built[at] ^ 1]) + built[at + 1 :]
            assert any(f"section {name}: " in line for line in differences(built, changed)), name


def test_a_difference_outside_of_the_sections_is_found(tmp_path: Path) -> None:
    built = library(tmp_path)
    changed = built[:9] + b"\1" + built[10:]
    assert [line.split(":")[0] for line in differences(built, changed)] == ["at 0x9"]


def test_a_difference_in_a_module_of_a_wheel_names_both(tmp_path: Path) -> None:
    one, two = wheel(tmp_path / "a", library(tmp_path)), wheel(tmp_path / "b", library(tmp_path, answer=2))
    (line,) = differences(one, two)
    assert line.startswith("package/_module.so: section .text: at 0x")


def test_another_time_and_another_member_are_found(tmp_path: Path) -> None:
    one = wheel(tmp_path / "a", b"text")
    (line,) = differences(one, wheel(tmp_path / "b", b"text", when=3600))
    assert line.startswith("package/_module.so: date_time (1980, 1, 1, 0,")
    (line,) = differences(one, wheel(tmp_path / "b", b"text", name="other"))
    assert line == "members: other, package/_module.so in one only"


def test_directories_are_compared_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    # An empty build has not been reproduced.
    shutil.copytree(one, two)
    assert main([str(one), str(two)]) == 1
    (one / "same").write_text("text")
    (two / "same").write_text("text")
    assert main([str(one), str(two)]) == 0
    assert capsys.readouterr().out == f"same    {hashlib.sha256(b'text').hexdigest()}  same\n"
    (two / "longer").write_text("text")
    assert main([str(one), str(two)]) == 1
    assert "differs longer\n        in one build only\n" in capsys.readouterr().out
    (one / "longer").write_text("text and more")
    assert main([str(one), str(two)]) == 1
    assert "13 bytes | 4 bytes, the shorter is the beginning" in capsys.readouterr().out
