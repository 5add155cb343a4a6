"""The type that `Gate.check` returns."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Finding(TypedDict):
    """One finding of a check.

    `step` is "configuration", "discovery", "token_request", "token", "signature" or "requirements".
    `code` identifies the finding, such as "name_unresolved". `message` and `remedy` are sentences;
    `remedy` is None if there is nothing to do. `facts` are the values behind the message.
    """

    step: str
    level: Literal["notice", "warning", "error"]
    code: str
    message: str
    remedy: str | None
    facts: dict[str, Any]


class Diagnosis(TypedDict):
    """The verdict of a check and its findings, in the order of the steps. An error comes last."""

    verdict: Literal["ok", "refused", "unreachable", "misconfigured"]
    findings: list[Finding]
