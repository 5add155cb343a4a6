"""ffi/Containerfile: buildah builds the image from a clean Debian and the Debian packages, and its command serves."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE
from packages.conftest import nginx_site
from support.clean_debian import BASE, PACKAGES, CleanDebian
from support.lab import Authority, Provider, Upstream
from support.process import ROOT, free_port, run

CONTAINERFILE = ROOT / "ffi/Containerfile"


class Buildah:
    """Images in a directory, built without a daemon."""

    def __init__(self, directory: Path):
        places = [f"--root={directory}/storage", f"--runroot={directory}/run", "--storage-driver=vfs"]
        self._command = ["buildah", *places]

    def __call__(self, *arguments: str | Path) -> str:
        return run(*self._command, *arguments, seconds=600).stdout.strip()

    def image(self, name: str, root: Path) -> None:
        """An image of the files below `root`."""
        container = self("from", "scratch")
        self("add", "--quiet", container, root, "/")
        self("commit", "--quiet", container, name)

    def config(self, image: str) -> Any:
        return json.loads(self("inspect", "--type", "image", image))["OCIv1"]["config"]

    def files(self, image: str) -> Path:
        return Path(self("mount", self("from", "--pull-never", image)))


@pytest.mark.package("libcredgate1_*.deb", "libnginx-mod-http-credgate_*.deb")
def test_image_serves_the_four_settings(
    tmp_path: Path, tls_provider: Provider, authority: Authority, upstream: Upstream, forwards: Callable[[int], None]
) -> None:
    buildah = Buildah(tmp_path)
    (base,) = re.findall(r"^FROM (\S+)$", CONTAINERFILE.read_text(), re.MULTILINE)
    buildah.image(f"localhost/{base}", BASE)
    buildah("build", "--isolation", "chroot", "--pull-never", "--file", CONTAINERFILE, "--tag", "credgate", PACKAGES)

    config = buildah.config("localhost/credgate")
    assert config["StopSignal"] == "SIGQUIT"
    with CleanDebian(buildah.files("localhost/credgate")) as image:
        assert not image.path("/packages").exists()
        image.trust(authority.ca)
        port = free_port()
        image.path("/etc/nginx/conf.d/gate.conf").write_text(nginx_site(port, tls_provider, upstream))
        with image.service(*config["Cmd"], port=port).start() as server:
            forwards(port)
        log = server.log.read_text()
        assert '"GET / HTTP/1.1" 401' in log
        assert f'credgate: client "{ALICE.id}" denied: credentials_refused, client:' in log
