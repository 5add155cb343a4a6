"""The fields of a configuration as data."""

import json
from typing import Any

from credgate import _credgate


def config_fields() -> list[dict[str, Any]]:
    """Return the fields of a configuration, and those of Kong that Credgate does not have.

    Each is a dict with `name`, `type` (in the words of Kong's schemas) and `kong` (Kong has it);
    and with `elements`, `keys`, `values`, `fields`, `one_of`, `default`, `secret`, `description`
    and `remedy` where they apply. A field with a `remedy` must not be set.
    """
    fields: list[dict[str, Any]] = json.loads(_credgate.config_fields())
    return fields
