"""``python -m quant_pipeline.testing.fake_alpaca``: a broker to rehearse with."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path

import click
import pandas as pd

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange, Script
from quant_pipeline.testing.fake_alpaca.script import Director
from quant_pipeline.testing.fake_alpaca.tape import MarketTape

# Those of conf/base/globals.yml and their benchmark.
SYMBOLS = (
    "AAPL,ABBV,AMZN,BAC,CAT,COST,CSCO,CVX,DIS,GOOGL,HD,HON,IBM,INTC,JNJ,JPM,KO,MCD,MRK,MSFT,NEE,NKE,NVDA,ORCL,PEP,PFE,"
    "PG,UNP,WMT,XOM,SPY"
)


@click.command(context_settings={"show_default": True})
@click.option("--port", default=8765, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--cash", default="100000", help="First deposit in USD.")
@click.option("--symbols", default=SYMBOLS, help="Instruments that can be traded; their history is invented.")
@click.option("--start", default="2016-01-04", help="First session of the history.")
@click.option("--end", default=None, help="Last session of the history; by default the last that has really closed.")
@click.option("--now", default=None, help="Stop the clock at this instant (UTC); by default it runs.")
@click.option("--script", type=click.Path(path_type=Path), default=None, help="YAML with what shall go wrong.")
@click.option("--account-number", default="PA3FAKE00001", help="Number of the account, to rehearse one that pins it.")
@click.option("--exchange-hours", is_flag=True, help="Execute only while the exchange is open.")
@click.option("--seconds", default=None, type=float, help="Stop after so long; by default at Ctrl-C.")
def main(
    port: int,
    cash: str,
    symbols: str,
    start: str,
    end: str | None,
    now: str | None,
    script: Path | None,
    account_number: str,
    exchange_hours: bool,
    seconds: float | None,
) -> None:
    """Serve a fake Alpaca on loopback: trading, market data and both websockets."""
    hours = ExchangeHours(None if now is None else pd.Timestamp(now))
    tape = MarketTape.simulated(symbols.split(","), start, end or f"{ExchangeHours().latest_closed():%Y-%m-%d}")
    director = Director(Script.from_file(script) if script else None)
    exchange = FakeExchange(
        cash=Decimal(cash),
        director=director,
        always_open=not exchange_hours,
        hours=hours,
        account_number=account_number,
    )
    exchange.take_prices(tape.prices_at)
    with FakeAlpaca(exchange, tape, port) as server:
        click.echo(f"Fake Alpaca at {server.url}, trade updates at {server.stream_url}; Ctrl-C stops it.")
        click.echo(f"Keys: {API_KEY} and {SECRET_KEY}; they open nothing else.")
        _serve(exchange, seconds)


def _serve(exchange: FakeExchange, seconds: float | None) -> None:
    """Execute open orders once a second, until the time is over or the operator stops it."""
    over = threading.Event()
    waited = 0.0
    try:
        while seconds is None or waited < seconds:
            pause = 1.0 if seconds is None else min(1.0, seconds - waited)
            over.wait(pause)
            waited += pause
            exchange.work()
    except KeyboardInterrupt:
        click.echo("Stopped.")


if __name__ == "__main__":
    main()
