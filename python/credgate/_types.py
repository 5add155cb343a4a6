"""Types that the package's signatures share."""

from typing import Union

Text = Union[str, bytes, bytearray]
"""What a part of a request may be: text is taken as UTF-8."""
