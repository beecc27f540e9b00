"""The guard of real accounts."""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from quant_pipeline.exceptions import ConfigurationError

DEFAULT_ENVIRONMENT = "sim"
REAL_ACCOUNTS = ("paper", "live")
CREDENTIAL_VARIABLES = {
    "paper": ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"),
    "live": ("ALPACA_LIVE_API_KEY", "ALPACA_LIVE_SECRET_KEY"),
}


class AccountGuardHooks:
    """Refuse to run against a real account whose keys are not set, before any other hook acts."""

    def __init__(self) -> None:
        self._environment = DEFAULT_ENVIRONMENT
        self._credentials: dict[str, Any] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the environment and its credentials."""
        self._environment = context.env or DEFAULT_ENVIRONMENT
        if context.env in REAL_ACCOUNTS:
            self._credentials = context.config_loader["credentials"].get(f"alpaca_{context.env}") or {}

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Stop with the remedy when a key is missing.

        Raises
        ------
        ConfigurationError
            When the environment is ``paper`` or ``live`` and one of its two keys is empty.
        """
        environment = self._environment
        if environment not in REAL_ACCOUNTS:
            return
        missing = [key for key in ("api_key", "secret_key") if not self._credentials.get(key)]
        if missing:
            variables = " and ".join(CREDENTIAL_VARIABLES[environment])
            raise ConfigurationError(
                f"Environment '{environment}' trades on an Alpaca account, but its {' and '.join(missing)} is not set. "
                f"Set {variables} in the shell, or write them into conf/{environment}/credentials.yml "
                "(never committed). To work without keys, run the simulated account: --env sim."
            )
