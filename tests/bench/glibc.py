"""glibc with its wide vectors switched off: a probe of the cost of register state wider than 128 bits."""

import os
import re
import subprocess

LOADER = "/lib64/ld-linux-x86-64.so.2"
# By these glibc chooses the 256-bit and 512-bit variants of memcpy, memset, strlen and the like. Since 2.33 it ignores the
# older names, such as AVX2_Usable.
OFF = ("AVX2", "AVX512F", "AVX512BW", "AVX512VL", "AVX_Fast_Unaligned_Load")
NARROW = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in OFF)}
"""The environment of a process without them."""
# The bits of CPUID leaf 7, register EBX, which is register 1 of glibc's second set of features.
BITS = {"AVX2": 5, "AVX512F": 16, "AVX512BW": 30, "AVX512VL": 31}


def wide(diagnostics: str) -> set[str]:
    """Of OFF, those that are in use, by the output of `ld.so --list-diagnostics`."""
    active = re.search(r"^x86\.cpu_features\.features\[0x1\]\.active\[0x1\]=(0x[0-9a-f]+)$", diagnostics, re.MULTILINE)
    if not active:
        raise ValueError("glibc lists no features of the processor")
    found = {name for name, bit in BITS.items() if int(active[1], 16) >> bit & 1}
    if re.search(r"^x86\.cpu_features\.preferred\.AVX_Fast_Unaligned_Load=0x1$", diagnostics, re.MULTILINE):
        found.add("AVX_Fast_Unaligned_Load")
    return found


def check() -> None:
    """Does glibc follow NARROW?"""
    done = subprocess.run(
        [LOADER, "--list-diagnostics"], env={**os.environ, **NARROW}, capture_output=True, text=True, timeout=60, check=True
    )
    if still := wide(done.stdout):
        raise RuntimeError(f"glibc uses {', '.join(sorted(still))} in spite of {NARROW}")
