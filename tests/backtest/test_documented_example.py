"""The example of the documentation runs as it stands there."""

import re

from tests.helpers.random_market import random_market


def test_the_event_strategy_of_the_page_trades(project_path):
    page = (project_path / "docs" / "concepts" / "backtest.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    bars, actions, sessions, _ = random_market(8, n_sessions=60)
    names = {"bars": bars, "corporate_actions": actions, "sessions": sessions}
    exec(compile(example, "backtest.md", "exec"), names)
    trades = names["result"].trades
    assert {"limit", "stop"} == set(trades["kind"])
    assert {"stop loss", "take profit"} <= set(trades["reason"])
    assert (trades["status"] == "filled").sum() > 20
