"""The type of the engine options."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


class EngineOptions(TypedDict, total=False):
    """The options of `credgate.configure`."""

    cache_max_bytes: int
    cache_max_entries: int
    max_waiting: int
    max_exchanges: int
    provider_pause_max: int
    metrics_clients: int
    store: str | None
    store_password_file: str | os.PathLike[str] | None
    store_pepper_file: str | os.PathLike[str] | None
    store_previous_pepper_files: Sequence[str | os.PathLike[str]]
    store_timeout: int | None
    store_prefix: str
    store_max_bytes: int
    store_ca_file: str | os.PathLike[str] | None
    store_client_cert_file: str | os.PathLike[str] | None
    store_client_key_file: str | os.PathLike[str] | None
    store_metrics: bool
