"""The guard of real accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.exceptions import ConfigurationError

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.pipeline import Pipeline

SENDING_NODE = "send_orders"
CREDENTIAL_VARIABLES = {
    "alpaca_paper": ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"),
    "alpaca_live": ("ALPACA_LIVE_API_KEY", "ALPACA_LIVE_SECRET_KEY"),
}


class AccountGuardHooks:
    """Refuse to run against a real account whose keys are not set, or to send on one that is not pinned and armed.

    An account is real when the ``trading_desk`` of its environment has credentials, whatever the environment is called;
    only the default one, which is simulated, is not asked.
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
            When the broker does not execute at the configured price; when one of the two keys is empty; or when orders
            would be sent on an account that needs arming but is not pinned by its number, or not armed for the session.
        """
        if self._environment == DEFAULT_ENVIRONMENT:
            return
        catalog = self._config["catalog"]
        name = catalog.get("trading_desk", {}).get("credentials")
        if name is None:
            return
        self._require_executable_price(catalog["trading_desk"]["type"], catalog["ledger_as_found"]["filepath"])
        self._require_keys(name)
        if any(node.short_name == SENDING_NODE for node in pipeline.nodes):
            self._require_arming(catalog["ledger_as_found"]["filepath"])

    def _require_executable_price(self, desk: str, ledger: str) -> None:
        from kedro.utils import load_obj

        from quant_pipeline.datasets.ledger import LedgerEvents
        from quant_pipeline.strategy.rules import MarketRules
        from quant_pipeline.trading.order_management.book import OrderBook
        from quant_pipeline.trading.order_management.rules import ExecutionRules

        parameters, capability = self._config["parameters"], getattr(load_obj(desk), "capability", None)
        if capability is None:
            return  # A broker of the user's own states it to execution only.
        deal_price = MarketRules.model_validate(parameters["market_rules"]).deal_price
        try:
            capability.require(deal_price, ExecutionRules.model_validate(parameters["execution"]).time_in_force)
        except ConfigurationError:
            # The way out stays open: `kedro account flatten` sells at no price of a strategy.
            if not OrderBook.of(LedgerEvents(ledger).load()).is_flattening:
                raise

    def _require_keys(self, name: str) -> None:
        credentials = self._config["credentials"].get(name) or {}
        missing = [key for key in ("api_key", "secret_key") if not credentials.get(key)]
        if not missing:
            return
        variables = " and ".join(CREDENTIAL_VARIABLES.get(name, ()))
        raise ConfigurationError(
            f"Environment '{self._environment}' trades on an Alpaca account, but its {' and '.join(missing)} is not "
            f"set. {f'Set {variables} in the shell, or write' if variables else 'Write'} them into "
            f"conf/{self._environment}/credentials.yml as {name} (never committed). To work without keys, run the "
            "simulated account: --env sim."
        )

    def _require_arming(self, ledger: str) -> None:
        # Most commands run without this guard, and should not wait for the libraries of the account.
        import pandas as pd

        from quant_pipeline.datasets.ledger import LedgerEvents
        from quant_pipeline.market.calendar import TradingCalendar
        from quant_pipeline.market.clock import execution_session
        from quant_pipeline.trading.order_management.desk import arming_event

        parameters = self._config["parameters"]
        execution = parameters["execution"]
        if not execution.get("needs_arming") or parameters.get("dry_run"):
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
        armed = arming_event(execution_session(calendar, decided), str(number))
        if all(event.key != armed.key for event in LedgerEvents(ledger).load()):
            raise ConfigurationError(
                f"account {number} is not armed for {armed.session:%Y-%m-%d}. A person lets it send in that session "
                f"with `kedro account arm --env {self._environment}`."
            )
