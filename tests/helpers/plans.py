"""The newest plan of an account, and the bundles that are in force."""

import json
import sqlite3

ACCOUNT, MARKET = "data/accounts/sim", "data/markets/simulated"


def newest_plan(project):
    """Return the payload of the last plan in the ledger: its orders, and what they were decided from."""
    with sqlite3.connect(project.path / ACCOUNT / "ledger.sqlite") as connection:
        rows = connection.execute("select payload from event where kind = 'plan_recorded' order by sequence").fetchall()
    return json.loads(rows[-1][0])


def champions(project):
    """Return the champion of every model."""
    stores = (project.path / MARKET / "06_models").glob("*/bundle/aliases.json")
    return {file.parent.parent.name: json.loads(file.read_text())["champion"] for file in stores}


def bundles_of(plan):
    """Return the bundle of every model whose score became orders."""
    facts = plan["provenance"]
    return {key.removeprefix("bundle."): value for key, value in facts.items() if key.startswith("bundle.")}
