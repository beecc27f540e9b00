"""Forms in panes."""

from __future__ import annotations

import secrets
from typing import Final

FORM_TOKEN: Final = f"form-token-{secrets.token_hex(16)}"
"""Stands in panes for the token of each visitor."""
