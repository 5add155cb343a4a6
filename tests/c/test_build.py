"""`ffi/nginx/build.sh` builds a module only for an nginx that loads it."""

import os
import re
import subprocess
from pathlib import Path

from support.process import ROOT

NGINX = Path("/usr/sbin/nginx")
SIGNATURE = re.compile(rb"\d,\d,\d,[01]{30,}")


def build(out: Path, nginx: Path) -> subprocess.CompletedProcess[str]:
    """Builds for Debian's nginx, without what an outer run has set for another one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CREDGATE_")}
    environment = kept | {"CREDGATE_OUT": str(out), "CREDGATE_NGINX": str(nginx)}
    return subprocess.run([ROOT / "ffi/nginx/build.sh"], env=environment, capture_output=True, text=True, timeout=300)


def test_a_module_with_the_signature_of_nginx_is_built(tmp_path: Path) -> None:
    done = build(tmp_path, NGINX)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/ngx_http_credgate_module.so\n"
    assert SIGNATURE.findall((tmp_path / "ngx_http_credgate_module.so").read_bytes())


def test_a_module_with_another_signature_is_an_error(tmp_path: Path) -> None:
    binary = NGINX.read_bytes()
    (signature,) = set(SIGNATURE.findall(binary))
    other = signature[:-1] + b"0"
    nginx = tmp_path / "nginx"
    nginx.write_bytes(binary.replace(signature, other))
    nginx.chmod(0o755)
    done = build(tmp_path, nginx)
    assert done.returncode == 1
    assert f'build.sh: {nginx} would refuse the module as "not binary compatible"\n' in done.stderr
    assert f"signature of nginx:      {other.decode()}\n" in done.stderr
    assert f"signature of the module: {signature.decode()}\n" in done.stderr
    assert f"{nginx} -V" in done.stderr
    assert not (tmp_path / "ngx_http_credgate_module.so").exists()


def test_a_module_of_another_version_is_an_error(tmp_path: Path) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text('#!/bin/sh\necho "nginx version: nginx/1.2.3" >&2\n')
    nginx.chmod(0o755)
    done = build(tmp_path, nginx)
    assert done.returncode == 1
    assert f"build.sh: {nginx} is version 1.2.3, and the module is for 1." in done.stderr
    assert "build with the source of nginx 1.2.3" in done.stderr
    assert not (tmp_path / "ngx_http_credgate_module.so").exists()
