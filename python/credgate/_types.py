"""Types that the signatures of the package share."""

from typing import Union

Text = Union[str, bytes, bytearray]
"""A part of a request. A str is encoded as UTF-8."""
