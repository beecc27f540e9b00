"""Orders and facts of an account at a fake Alpaca."""

import pandas as pd
import yaml

DAY, NEXT = "2025-03-03", pd.Timestamp("2025-03-04")


def order(exchange, name, side="buy", symbol="CCC"):
    """Submit an order for one share to the fake exchange."""
    facts = {"symbol": symbol, "side": side, "qty": "1", "type": "market", "time_in_force": "day"}
    return exchange.submit(facts | {"client_order_id": name})


def pin(project):
    """Pin the account at the fake, as its owner does in the file of the live account."""
    file = project.project_path / "conf/live/parameters_execution.yml"
    rules = yaml.safe_load(file.read_text())
    rules["execution"]["account_number"] = "PA3FAKE00001"
    file.write_text(yaml.safe_dump(rules))


def statuses(exchange):
    """Return the status of every order by its name."""
    return {name: known.status for name, known in exchange.by_client_id.items()}
