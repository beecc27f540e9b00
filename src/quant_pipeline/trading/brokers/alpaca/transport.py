"""The wires to Alpaca's trading and data APIs: raw JSON, and whether a failed request can have been carried out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.trading.client import TradingClient
from urllib3.exceptions import NewConnectionError

from quant_pipeline.common.json_files import parse_json
from quant_pipeline.common.retrying import Patience
from quant_pipeline.market.sources.alpaca_connection import (
    BoundedAdapter,
    RateBudget,
    RequestBudgetError,
    describe_failure,
    restrain,
    seconds_to_reset,
)
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.ports import (
    BrokerAccessError,
    BrokerError,
    BrokerUnavailableError,
    OutcomeUnknownError,
    QuestionRefusedError,
    RateLimitedError,
)

NOT_FOUND = 404
_WRONG_QUESTION = (400, 422)
# HTTP's words for: the server may or may not have done it.
_UNCERTAIN = (408, 425)


def connect_trading(parameters: AlpacaAdapter, api_key: str, secret_key: str) -> AlpacaTransport:
    """Open the wire to the account; nothing is asked yet.

    Raises
    ------
    ConfigurationError
        When the address is not allowed.
    """
    address, is_paper = parameters.address, parameters.kind == "paper"
    client = TradingClient(api_key, secret_key, paper=is_paper, raw_data=True, url_override=address)
    return AlpacaTransport(parameters, client, address)


def connect_data(parameters: AlpacaAdapter, api_key: str, secret_key: str) -> AlpacaTransport:
    """Open the wire to market data, whose budget of requests is its own; nothing is asked yet.

    Raises
    ------
    ConfigurationError
        When the address is not allowed.
    """
    # Only who asks for prices waits for this import.
    from alpaca.data.historical import StockHistoricalDataClient

    address = parameters.data_address
    client = StockHistoricalDataClient(api_key, secret_key, raw_data=True, url_override=address)
    return AlpacaTransport(parameters, client, address)


class AlpacaTransport:
    """Raw JSON from one of the APIs, with typed failures.

    Parameters
    ----------
    parameters
        Which account, how patiently.
    client
        The unmodified client; its traps are closed here.
    address
        Where it goes, checked.
    sleep
        Waits some seconds before a lost question is asked again.
    """

    def __init__(
        self, parameters: AlpacaAdapter, client: RESTClient, address: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._parameters = parameters
        self._sleep = sleep
        self._client = client
        budget = RateBudget(parameters.requests_a_minute, parameters.max_wait_seconds)
        limits = (parameters.connect_seconds, parameters.read_seconds)
        restrain(client, BoundedAdapter(limits, budget), address)

    def ask(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Ask a question; it changes nothing, so a lost answer is asked for again.

        Returns
        -------
        Any
            The JSON of the answer; None when there is no such thing.

        Raises
        ------
        BrokerUnavailableError
            When no attempt was answered.
        QuestionRefusedError
            When the answer is that the question is wrong.
        """
        parameters, lost = self._parameters, (OutcomeUnknownError, BrokerUnavailableError)
        patience = Patience(parameters.max_read_attempts, lost, parameters.read_pause_seconds, self._sleep)
        try:
            return patience.ask(lambda: self._once("GET", path, dict(query or {})))
        except APIError as error:
            if error.status_code == NOT_FOUND:
                return None
            refusal = QuestionRefusedError if error.status_code in _WRONG_QUESTION else BrokerError
            raise refusal(f"Alpaca refuses to answer {path}: {read_refusal(error)[1]}") from error
        except lost as error:
            raise BrokerUnavailableError(f"Alpaca did not answer {path}: {error}; try again later") from error

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send what changes something, once.

        Raises
        ------
        OutcomeUnknownError
            When it may or may not have been carried out.
        APIError
            A definitive refusal, for the caller to understand.
        """
        return self._once(method, path, dict(body or {}))

    def _once(self, method: str, path: str, data: dict[str, Any]) -> Any:
        try:
            return self._client._request(method, path, data)
        except APIError as error:
            raise self._meaning(error, path) from error
        except RequestBudgetError as error:
            raise RateLimitedError(error.message, retry_after=error.seconds) from error
        except (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError) as error:
            raise BrokerUnavailableError(f"no connection to Alpaca: {describe_failure(error)}") from error
        except requests.exceptions.ConnectionError as error:
            if isinstance(getattr(error.args[0] if error.args else None, "reason", None), NewConnectionError):
                raise BrokerUnavailableError(f"no connection to Alpaca: {describe_failure(error)}") from error
            what = f"the connection broke during {method} {path}: {describe_failure(error)}"
            raise OutcomeUnknownError(what) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise OutcomeUnknownError(f"no understandable answer to {method} {path}: {error}") from error

    def _meaning(self, error: APIError, path: str) -> Exception:
        status = error.status_code or 0
        code, message = read_refusal(error)
        if status == 401 or (status == 403 and not code.startswith("403")):
            return BrokerAccessError(
                f"Alpaca refuses the keys of credentials entry '{self._parameters.credentials_entry}' "
                f"for its {self._parameters.kind} account ({message}); correct the keys"
            )
        if status == 429:
            headers = error.response.headers if error.response is not None else {}
            wait = seconds_to_reset(headers)
            return RateLimitedError(f"Alpaca takes no request for {wait:.0f} s ({path})", retry_after=wait)
        if status >= 500 or status in _UNCERTAIN or not code:
            # Without a code of Alpaca the answer is that of something in between, such as a proxy.
            return OutcomeUnknownError(f"Alpaca answered {path} with status {status}: {message}")
        return error


def read_refusal(error: APIError) -> tuple[str, str]:
    """Return code and words of a refusal, whatever its body is."""
    text = str(error)
    try:
        body = parse_json(text)
    except ValueError:
        return "", text[:200]
    if not isinstance(body, dict):
        return "", text[:200]
    return str(body.get("code", "")), str(body.get("message", text))[:500]
