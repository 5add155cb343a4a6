"""A clean Debian in a directory, with an overlay for the changes of one test."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.process import ROOT, Service, run

PACKAGES = ROOT / "target/packages"
WORK = ROOT / "target/packaging"
BASE = WORK / "root"
# Downloaded packages, for all tests and runs.
ARCHIVES = WORK / "archives"
# Files that any installation changes, and those that are not on a disk.
VOLATILE = (
    "dev", "etc/ld.so.cache", "proc", "run", "sys", "tmp", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log",
    # nginx makes them when it first starts.
    *(f"var/lib/nginx/{name}" for name in ("body", "fastcgi", "proxy", "scgi", "uwsgi")),
)  # fmt: skip
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


class CleanDebian:
    """The base with an overlay. It needs a mount namespace of its own, which `tests/packages.sh` makes."""

    def __init__(self, base: Path = BASE):
        self.base = base
        # Not in /tmp, which cannot hold an overlay if it is part of one, as in containers.
        self.directory = Path(tempfile.mkdtemp(prefix="debian-", dir=WORK))
        self.root = self.directory / "root"

    def __enter__(self) -> Self:
        upper, work = self.directory / "upper", self.directory / "work"
        for made in (self.root, upper, work, ARCHIVES):
            made.mkdir(parents=True, exist_ok=True)
        self._mount("-t", "overlay", "overlay", "-o", f"lowerdir={self.base},upperdir={upper},workdir={work}", self.root)
        self._mount("-t", "proc", "proc", self.root / "proc")
        self._mount("--rbind", "/dev", self.root / "dev")
        self._mount("--bind", ARCHIVES, self.root / "var/cache/apt/archives")
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", "--recursive", "--lazy", self.root)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _mount(self, *arguments: str | Path) -> None:
        run("mount", *arguments)

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def copy(self, *files: Path) -> list[str]:
        """Copies files to /tmp, and returns their paths inside."""
        for file in files:
            shutil.copy(file, self.path("/tmp"))
        return [f"/tmp/{file.name}" for file in files]

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """Runs a command inside, with more variables in its environment. Returns its output."""
        return run("chroot", self.root, *command, env={**ENVIRONMENT, **(env or {})}, seconds=600).stdout

    def shell(self, text: str) -> str:
        return self.run("sh", "-euc", text)

    def install(self, *packages: str | Path) -> None:
        """Installs packages by name, and files of packages, with their dependencies."""
        files = self.copy(*(package for package in packages if isinstance(package, Path)))
        names = [package for package in packages if isinstance(package, str)]
        self._apt("install", "--no-install-recommends", *names, *files)

    def purge(self, *packages: str) -> None:
        self._apt("purge", *packages)

    def remove(self, *packages: str) -> None:
        """Removes packages but for their configuration."""
        self._apt("remove", *packages)

    def _apt(self, *arguments: str) -> None:
        self.run("apt-get", "-qq", "-y", *arguments, env={"DEBIAN_FRONTEND": "noninteractive"})

    def trust(self, ca: Path) -> None:
        """Adds a certificate authority to those of the system."""
        shutil.copy(ca, self.path("/usr/local/share/ca-certificates/lab.crt"))
        self.run("update-ca-certificates")

    def service(self, *command: str, port: int) -> Service:
        return Service(["chroot", self.root, *command], self.directory / "service.log", port=port, env=ENVIRONMENT)

    def files(self) -> dict[str, str]:
        """Every file inside with its type, mode and content, but for volatile ones."""
        found: dict[str, str] = {}
        for directory, subdirectories, names in os.walk(self.root):
            here = Path(directory).relative_to(self.root)
            subdirectories[:] = [name for name in subdirectories if str(here / name) not in VOLATILE]
            for name in (*subdirectories, *names):
                if str(here / name) not in VOLATILE:
                    found[f"/{here / name}"] = _described(self.root / here / name)
        return found

    def changes(self, before: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
        """The files that differ from an earlier `files()`, with their descriptions then and now."""
        now = self.files()
        names = sorted(before.keys() | now.keys())
        return {name: (before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)}


def _described(file: Path) -> str:
    if file.is_symlink():
        return f"link to {os.readlink(file)}"
    mode = f"{file.stat().st_mode:o}"
    return mode if file.is_dir() else f"{mode} {hashlib.sha256(file.read_bytes()).hexdigest()}"
