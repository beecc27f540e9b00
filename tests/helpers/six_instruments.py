"""A market of six instruments, scores of two models on it, and what order generation is given."""

import pandas as pd

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import fingerprint_of_weights, state_bundles
from quant_pipeline.pipelines.order_generation import nodes
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.risk_limits import RiskLimits

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31"])
NAMES = list("ABCDEF")
AS_OF = "2024-12-31"


def market(halted=()):
    rows = [
        (day, name, 10.0 * index, 10.0 * index, 10.0 * index, 10.0 * index, 1000.0)
        for day in DAYS
        for index, name in enumerate(NAMES, start=1)
        if not (name in halted and day == DAYS[1])
    ]
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    actions = pd.DataFrame({"date": [], "instrument": [], "kind": [], "value": []})
    return bars.astype({"instrument": "str"}), actions.astype({"date": "datetime64[ns]", "instrument": "str"})


def ledger(*held):
    """Hold ten shares of some instruments and 1,000 of cash."""
    events = [Event(DAYS[0], EventKind.ACCOUNT_OPENED, "open", {"account": "t", "cash": "1000"})]
    for name in held:
        facts = {"instrument": name, "quantity": "10", "cost": "100"}
        events.append(Event(DAYS[0], EventKind.TRANSFER, f"in:{name}", facts))
    closed = [Event(day, EventKind.SESSION_CLOSED, f"c{day}", {"cash": "1000", "net_asset_value": "1"}) for day in DAYS]
    return (*events, *closed)


OPEN, CLOSE = "Ref($open, -2)/Ref($open, -1)-1", "Ref($close, -2)/Ref($close, -1)-1"


def ranked(names, day=DAYS[1], label=OPEN):
    """Score instruments in the order given, best first."""
    values = [float(len(names) - index) for index in range(len(names))]
    return pd.DataFrame({"datetime": day, "instrument": list(names), "score": values, "label": label})


def panel(names, day=DAYS[1], label=OPEN):
    return ranked(names, day, label).set_index(["datetime", "instrument"]).assign(bundle=f"bundle of {names}")


CHAMPIONS = {"up": "bundle of ABCDEF", "down": "bundle of FEDCBA"}
WEIGHTS = pd.DataFrame(
    [("both", "up", 0.5), ("both", "down", 0.5), ("other", "down", 1.0)], columns=["combination", "model", "weight"]
).assign(session=DAYS[0])
MEMBERS = pd.DataFrame({"date": DAYS[1], "instrument": NAMES})


def fused(name, names, label=OPEN):
    """Score instruments by a combination of the champions, with the weights in force."""
    members = {model: CHAMPIONS[model] for model in WEIGHTS.loc[WEIGHTS["combination"] == name, "model"]}
    made = {"bundles": state_bundles(members), "weights_sha256": fingerprint_of_weights(WEIGHTS, name)}
    return ranked(names, label=label).assign(combination=name, **made)


def arguments(source="fused", held=("A", "B"), halted=(), alternates=2, **changed):
    bars, actions = market(halted)
    combinations = {"both": {"models": ["up", "down"]}, "other": {"models": ["down"]}}
    given = {
        "latest_fused_scores": pd.concat([fused("both", "CDEFAB"), fused("other", "FEDCBA")], ignore_index=True),
        "champions": CHAMPIONS,
        "ensemble_weights": WEIGHTS,
        "universe_members": MEMBERS,
        "score_file": None,
        "events": ledger(*held),
        "bars": bars,
        "corporate_actions": actions,
        "sessions": pd.DataFrame({"date": DAYS}),
        "instruments": pd.DataFrame({"instrument": NAMES, "sector": ["Tech"] * 3 + ["Oil"] * 3}),
        "risk": RiskLimits(max_position_weight=1, max_sector_weight=1),
        "ensemble": EnsembleParameters.model_validate({"default": "both", "combinations": combinations}),
        "order_generation": OrderGenerationParameters(source=source, alternates=alternates),
        "strategy": StrategyRules(topk=2, n_drop=1),
        "market_rules": MarketRules(),
        "cost_rules": CostRules(),
        "account": AccountParameters(name="t", filled_by="broker"),
        "as_of": AS_OF,
        "up_latest_scores": panel("ABCDEF"),
        "down_latest_scores": panel("FEDCBA"),
    }
    return given | changed


def opinions_on(given, orders_with_alternates):
    """Call the node with what the pipeline gives to it."""
    not_given = ("champions", "ensemble_weights", "universe_members", "risk")
    own = {name: value for name, value in given.items() if name not in not_given}
    return nodes.tell_opinions(**own, orders_with_alternates=orders_with_alternates)


def record(given, orders):
    """Call the node that records orders with what the pipeline gives to it."""
    wanted = ("score_file", "events", "ensemble", "order_generation", "market_rules", "account", "as_of")
    own = {name: value for name, value in given.items() if name in wanted or name.endswith("_scores")}
    return nodes.record_orders(**own, orders=orders)


def sides(orders):
    return dict(zip(orders["instrument"], orders["side"], strict=True))
