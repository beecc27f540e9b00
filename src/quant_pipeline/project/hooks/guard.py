"""The guard of real accounts: refuse runs that could send orders by accident, before their first node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.configuration import ProjectConfigLoader

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.pipeline import Pipeline

    from quant_pipeline.trading.brokers.adapter import BrokerAdapter

SENDING_NODE = "send_orders"
DESK = "trading_desk"
DESK_TYPE = "quant_pipeline.datasets.trading_desk.BrokerDesk"


class AccountGuardHooks:
    """Refuse to run at a broker whose keys are not set, or to send real orders on an account not pinned and armed.

    What an account is, its broker says (`quant_pipeline.trading.brokers.adapter.Money`), whatever the environment is
    called; the gateway checks the same again when the account is opened.
    """

    def __init__(self) -> None:
        self._environment = DEFAULT_ENVIRONMENT
        self._config: Any = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the environment and its configuration."""
        self._environment = context.env or DEFAULT_ENVIRONMENT
        self._config = context.config_loader

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Stop with the remedy before any other hook acts.

        Raises
        ------
        ConfigurationError
            When orders would go to something else than a `BrokerDesk`; when the broker does not exist or does not
            execute at the configured price; when a key is empty; when the session of ``as_of`` is not over; or when
            orders would be sent on an account that needs arming but is not pinned by its number, or not armed.
        """
        from quant_pipeline.trading.brokers.adapter import Money
        from quant_pipeline.trading.brokers.registry import make_adapter

        catalog = self._config["catalog"]
        desk = catalog.get(DESK) or {}
        if not desk and all(DESK not in node.inputs for node in pipeline.nodes):
            return
        self._require_desk(desk)
        adapter = make_adapter(desk["broker"], desk.get("parameters") or {})
        if adapter.money is Money.SIMULATED:
            return
        ledger = catalog["ledger_as_found"]["filepath"]
        self._require_executable_price(adapter, ledger)
        self._require_keys(adapter, desk.get("credentials"))
        self._require_closed(adapter, desk.get("credentials"))
        if any(node.short_name == SENDING_NODE for node in pipeline.nodes):
            self._require_arming(adapter, ledger)

    def _require_desk(self, desk: dict[str, Any]) -> None:
        kind = desk.get("type", "not there")
        if kind == DESK_TYPE and desk.get("broker"):
            return
        raise ConfigurationError(
            f"{DESK} of environment '{self._environment}' is {kind}; it has to be `type: {DESK_TYPE}` with `broker:` "
            "and a name, because that holds arming, limits and kill switch for every broker (docs/extending/broker.md)."
        )

    def _require_executable_price(self, adapter: BrokerAdapter, ledger: str) -> None:
        from quant_pipeline.datasets.ledger import LedgerEvents
        from quant_pipeline.exchange.rules import MarketRules
        from quant_pipeline.trading.orders.account_orders import AccountOrders
        from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

        parameters = self._config["parameters"]
        deal_price = MarketRules.model_validate(parameters["market_rules"]).deal_price
        time_in_force = ExecutionRules.model_validate(parameters["execution"]).time_in_force
        try:
            adapter.capability.require(deal_price, time_in_force)
        except ConfigurationError:
            # Emergencies pass: `kedro account flatten` sells at no price of a strategy.
            if not AccountOrders.of(LedgerEvents(ledger).load()).is_flattening:
                raise

    def _require_keys(self, adapter: BrokerAdapter, entry: str | None) -> None:
        credentials = (self._config["credentials"].get(entry) or {}) if entry else {}
        missing = [key for key in adapter.key_names if not credentials.get(key)]
        if not missing:
            return
        read_from = self._config.shell_variables(entry) if isinstance(self._config, ProjectConfigLoader) else {}
        variables = " and ".join(read_from[key] for key in adapter.key_names if key in read_from)
        remedy = f"Set {variables} in the shell, or write" if variables else "Write"
        place = f"as {entry}" if entry else f"and name their entry as `credentials:` of {DESK} in the catalog"
        raise ConfigurationError(
            f"Environment '{self._environment}' has an account at {adapter.capability.broker}, but its "
            f"{' and '.join(missing)} is not set. {remedy} them into "
            f"conf/{self._environment}/credentials.yml {place} (never committed). To work without keys, run "
            "the simulated account: --env sim."
        )

    def _require_closed(self, adapter: BrokerAdapter, entry: str | None) -> None:
        """Refuse a session that is not over: its bars are not whole, and its account cannot be closed."""
        import pandas as pd

        from quant_pipeline.common.exceptions import StaleDataError
        from quant_pipeline.market.calendar import TradingCalendar
        from quant_pipeline.trading.brokers.adapter import NO_MARKET, Opening
        from quant_pipeline.trading.ledger.account import AccountState

        parameters = self._config["parameters"]
        as_of, now = pd.Timestamp(parameters["as_of"]), pd.Timestamp.now("UTC")
        if adapter.has_own_time:
            keys = {name: (self._config["credentials"].get(entry) or {})[name] for name in adapter.key_names}
            now = adapter.connect(Opening(self._environment, as_of, NO_MARKET, keys, AccountState)).clock().now
        calendar = TradingCalendar.of(parameters["market_rules"]["calendar"], as_of, as_of)
        if calendar.is_session(as_of) and now < calendar.hours(as_of)[1]:
            closes = f"{calendar.hours(as_of)[1]:%Y-%m-%d %H:%M}"
            raise StaleDataError(
                f"the session {as_of:%Y-%m-%d} ends at {closes} UTC, and it is {now:%Y-%m-%d %H:%M}; nothing was read. "
                "Run it after the close, or name an earlier session as as_of."
            )

    def _require_arming(self, adapter: BrokerAdapter, ledger: str) -> None:
        import pandas as pd

        from quant_pipeline.datasets.ledger import LedgerEvents
        from quant_pipeline.market.calendar import TradingCalendar
        from quant_pipeline.market.clock import execution_session
        from quant_pipeline.trading.brokers.gateway import require_arming_rule
        from quant_pipeline.trading.orders.account_orders import AccountOrders

        parameters = self._config["parameters"]
        execution = parameters["execution"]
        if parameters.get("dry_run"):
            return
        require_arming_rule(adapter, self._environment, bool(execution.get("needs_arming")))
        if not execution.get("needs_arming"):
            return
        number = execution.get("account_number")
        if number is None:
            raise ConfigurationError(
                f"Environment '{self._environment}' sends real orders, but execution.account_number does not pin the "
                f"account. Write its number into conf/{self._environment}/parameters_execution.yml, or look first "
                "with --params dry_run=true."
            )
        decided = pd.Timestamp(parameters["as_of"])
        calendar = TradingCalendar.of(parameters["market_rules"]["calendar"], decided, decided)
        session = execution_session(calendar, decided)
        if AccountOrders.of(LedgerEvents(ledger).load()).armed.get(session) != str(number):
            raise ConfigurationError(
                f"account {number} is not armed for {session:%Y-%m-%d}. The operator arms it for that session "
                f"with `kedro account arm --env {self._environment}`."
            )
