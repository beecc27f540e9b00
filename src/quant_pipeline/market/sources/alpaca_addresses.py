"""Where keys of Alpaca may be sent: its own hosts, and this machine.

Apart from the connection, so that reading a configuration imports no client library.
"""

from __future__ import annotations

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.loopback import is_loopback

DATA_HOST = "data.alpaca.markets"


def checked_address(url: str | None, host: str, purpose: str) -> str:
    """Return the root of an API: its own https host, or a loopback address for rehearsals.

    Parameters
    ----------
    url
        What is configured; None is the own host.
    host
        The own host.
    purpose
        What it is for, for the message.

    Raises
    ------
    ConfigurationError
        When it is any other address.
    """
    own = f"https://{host}"
    if url is None or url.rstrip("/") == own:
        return own
    if not is_loopback(url):
        raise ConfigurationError(
            f"url '{url}' is not allowed for {purpose}; remove it to use {own}, "
            "or rehearse on a loopback address such as http://127.0.0.1:8765"
        )
    return url.rstrip("/")
