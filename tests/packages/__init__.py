"""Tests of the packages that `tests/packages.sh` builds. It runs them, too."""
