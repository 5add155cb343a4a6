"""What `Gate.check` answers."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Finding(TypedDict):
    """One thing that was found.

    `step` is "configuration", "discovery", "token_request", "token", "signature" or "requirements";
    `code` is a word for programs, such as "name_unresolved".
    """

    step: str
    level: Literal["notice", "warning", "error"]
    code: str
    message: str
    remedy: str | None
    facts: dict[str, Any]


class Diagnosis(TypedDict):
    """What was found, in the order of the steps, and how it ended. An error is the last."""

    verdict: Literal["ok", "refused", "unreachable", "misconfigured"]
    findings: list[Finding]
