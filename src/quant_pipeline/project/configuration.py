"""The configuration Kedro reads, with resolvers (``${...}``) and layer conf/local; what is wrong is one message."""

from __future__ import annotations

import logging
import threading
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT, LOCAL, environments_in
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.project.configuration_files import ConfigurationFiles
from quant_pipeline.project.project_paths import with_home, with_project_paths
from quant_pipeline.project.references import SIGN, merge, merged_and_resolved, names_from_params, select
from quant_pipeline.project.refused_configuration import (
    describe_unreadable,
    limits_of_real_money,
    own_message,
    refuse_limits_of_real_money,
    refuse_renamed_types,
    refuse_unknown_parameter,
    refuse_unusable_folders,
)
from quant_pipeline.project.rehearsal import set_apart
from quant_pipeline.project.resolvers import CUSTOM_RESOLVERS, register_resolvers
from quant_pipeline.project.session_of_run import (
    SESSION,
    named_session,
    refuse_other_sessions,
    require_session,
    take_session,
    with_day,
    without_session,
)
from quant_pipeline.project.signal_models import with_signals

logger = logging.getLogger(__name__)

_reading = threading.RLock()
"""Held while a configuration is made or read: resolvers belong to the process, and ask the one that is read."""
PINNED = {
    "parameters": ("account", "execution", "risk"),
    "globals": ("account", "paths"),
    "catalog": ("trading_desk", "ledger"),
}
"""Beginnings of names that an account with real money takes from its own files and never from conf/local."""


class ProjectConfigLoader(ConfigurationFiles):
    """Kedro's loader of YAML: base, then the account, then conf/local; what cannot be read is named.

    Parameters
    ----------
    conf_source, env, **options
        As for `kedro.config.OmegaConfigLoader`.

    Raises
    ------
    ConfigurationError
        When there is no such environment; or, as soon as something is asked for, when a file is no YAML, when two files
        of one environment set the same key, when what a key refers to does not exist, or when an environment or a
        command sets a parameter that `conf/base` does not have.
    """

    def __init__(self, conf_source: str, env: str | None = None, **options: Any) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._found_for: dict[str, Any] | None = None
        self._known: set[str] = set()
        self._taken_by_parameters: set[str] = set()
        self._globals: dict[str, Any] = {}
        self.withheld: set[str] = set()
        """Names that conf/local sets although the account, which trades real money, takes them from its own files."""
        self.reduces_risk = False
        """Whether who asks only reduces risk, from which no session that is wrong or contradicted keeps it."""
        self._has_no_session = False
        """Whether such a command goes on without a session: that of the globals is no day."""
        self.is_of_session = True
        """Whether who asks stands for a session, with which days of the files are compared."""
        self.market_facts: dict[str, Any] = {}
        """What `market_files` found in the folders of this configuration."""
        self.as_written: dict[str, dict[str, Any]] = {}
        """What `unresolved` read."""
        given = with_day(options.get("runtime_params") or {})
        options["runtime_params"] = given
        if isinstance(given.get("universe"), str):
            # The name of a universe; conditions beside it in YAML stay.
            options["runtime_params"] = given | {"universe": {"name": given["universe"]}}
        self._is_made = False
        with _reading:
            super().__init__(conf_source, env, **options)
        self._is_made = True
        if self.environment == LOCAL:
            raise ConfigurationError(
                f"conf/{LOCAL} is no account: it is applied last to every account. Leave `--env {LOCAL}` out, or name "
                "the account."
            )
        # A configuration that is packed into an archive has no folders to look at.
        if self._root.is_dir() and not (self._root / self.environment).is_dir():
            raise ConfigurationError(
                f"There is no environment '{self.environment}' in {self._root.name}/; there are "
                f"{first_of(environments_in(self._root))}. `kedro account new {self.environment} --from sim` makes "
                "one for another account."
            )

    def belong_to(self, project: Path) -> None:
        """Let relative paths begin at a project whose configuration lies elsewhere; what was read is read again."""
        if project != self.project.resolve():
            self.project = project
            self.market_facts.clear()
            self._found_for = None

    @property
    def session(self) -> str | None:
        """Session of a run, ``YYYY-MM-DD``; None where neither ``--params`` nor the globals name one.

        Globals that are being read name none yet.

        Raises
        ------
        ConfigurationError
            When it is no day, and more than a reduction of risk is asked for.
        """
        return None if self._has_no_session else self._session_of(self._globals)

    def _session_of(self, settings: dict[str, Any]) -> str | None:
        return named_session(self.runtime_params, settings, lambda name: self.place_of(name, "globals"))

    def _with_some_day(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return globals with a day that datasets can be made with: today, where the session is none."""
        try:
            self._session_of(settings)
        except ConfigurationError as error:
            logger.warning("%s", error.message)
            self._has_no_session = True
            return settings | {SESSION: f"{datetime.now(UTC):%Y-%m-%d}"}
        self._has_no_session = False
        return settings

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return one kind of configuration: ``parameters``, ``catalog``, ``globals`` and so on.

        Files are read once: Kedro asks half a dozen times for the same, and reading takes a quarter of a second. Who
        asks may change what is returned.
        """
        if not self._is_made:
            # Kedro's constructor asks for the globals, which may ask a market: where the project lies is not known yet.
            return {}
        with _reading:
            return self._configured(key)

    def _configured(self, key: str) -> dict[str, Any]:
        if key in self:
            return super().__getitem__(key)
        if self._found_for != self.runtime_params:
            self._forget()
            # Kedro reads globals once; folders of a rehearsal depend on --params.
            self._globals = {}
            self._globals = self._found["globals"] = self._read("globals")
            self._found_for = deepcopy(self.runtime_params)
        if key not in self._found:
            self._found[key] = self._read(key)
        return deepcopy(self._found[key])

    def __setitem__(self, key: str, value: Any) -> None:
        """Set one kind of configuration in place of the files; other kinds may refer to it."""
        self._forget()
        super().__setitem__(key, value)

    def _forget(self) -> None:
        """Forget what was read, and what Kedro keeps itself for references."""
        self._found.clear()
        self.as_written.clear()
        self._raw.clear()
        self._globals_oc = self._runtime_params_oc = None

    def _read(self, key: str) -> dict[str, Any]:
        self._register_globals_resolver()
        register_resolvers(self)
        try:
            # References to the segments of a market ask for it.
            session = self.session if key == "parameters" else None
            found = super().__getitem__(key)
            if key == "parameters":
                self._refuse_unknown(found)
                self._refuse_params_of_real_money()
                found = self._at_session(with_signals(found), session)
            if key == "globals":
                found = with_day(with_home(found))
                refuse_unusable_folders(found)
                found = self._with_some_day(found) if self.reduces_risk else found
            if key == "catalog":
                refuse_renamed_types(found, self.environment)
                self._refuse_other_sessions(found)
                found = with_project_paths(found, self.project)
        except (YAMLError, OSError) as error:
            raise ConfigurationError(describe_unreadable(self._files(), self._text_of) or str(error)) from error
        except OmegaConfBaseException as error:
            if own := own_message(error):
                raise own from error
            raise ConfigurationError(
                f"`{error.full_key}` of the {key} of environment '{self.environment}' cannot be resolved: "
                f"{str(error).splitlines()[0]} Correct it in {self._names_of_folders()}."
            ) from error
        except ValueError as error:
            if not str(error).startswith("Duplicate keys"):
                raise
            raise ConfigurationError(
                f"{str(error).replace(f'{self._root.parent}/', '')}. Keep each key in one file of an environment."
            ) from error
        return found

    def _at_session(self, parameters: dict[str, Any], session: str | None) -> dict[str, Any]:
        if self.reduces_risk:
            return take_session(parameters, session, self.place_of)
        if session is None or not self.is_of_session:
            return parameters
        return require_session(parameters, session, self.place_of)

    def _refuse_other_sessions(self, catalog: dict[str, Any]) -> None:
        if self.reduces_risk or not self.is_of_session:
            return
        try:
            session = self.session
        except ConfigurationError:
            # Parameters are refused then, and a stop file is found without them.
            return
        if session is not None:
            refuse_other_sessions(catalog, session, self.place_of)

    def _merge_and_resolve(self, key: str, config_per_file: dict[Path, dict[str, Any]]) -> dict[str, Any]:
        """Merge the files of a layer and resolve their references, as Kedro does."""
        files = list(config_per_file.values())
        if key == "parameters":
            return self._resolved(key, files, self.runtime_params) if files else {}
        self._runtime_params_hits = set()
        found = self._resolved(key, files)
        if key == "catalog":
            self._guard_runtime_params_in_catalog_type(files, found)
        return {name: value for name, value in found.items() if not str(name).startswith("_")}

    def _resolved(self, key: str, files: list[dict[str, Any]], over: dict[str, Any] | None = None) -> dict[str, Any]:
        """Resolve the references of a layer; a session that leads nowhere is none, where it is not needed."""
        try:
            return merged_and_resolved(files, over)
        except OmegaConfBaseException as error:
            is_needed = not self.reduces_risk and SESSION not in self.runtime_params
            if is_needed or key not in ("globals", "parameters"):
                raise
            found = merged_and_resolved([without_session(file) for file in files], over)
            # It is no day, and is passed over as such; the text says why.
            return {SESSION: str(own_message(error) or error).splitlines()[0].replace(SIGN, "{")} | found

    def _read_raw_config(self, key: str) -> Any:
        read = super()._read_raw_config(key)
        local = self._read_local(key)
        read[-1].update(local)
        if key == "parameters":
            # Now, as Kedro merges what --params say into the first of these files.
            base, own = read[0].values(), read[1].values()
            self._known = {str(name) for file in base for name in file}
            self._taken_by_parameters = names_from_params([*base, *own, *local.values()])
        return read

    def _resolve_from_raw_config(self, key: str, *read: Any) -> dict[str, Any]:
        """Merge base and environment as Kedro does, and then conf/local by the same strategy."""
        merged: dict[str, Any] = super()._resolve_from_raw_config(key, *read)
        files = self._read_local(key)
        for file in files.values():
            self._withhold(key, file)
        if any(files.values()):
            own: dict[str, Any] = self._merge_and_resolve(key, files)
            merged = self._merge_configs(merged, own, key, self._get_conf_env_path(LOCAL))
        return set_apart(self, merged) if key == "globals" else merged

    @staticmethod
    def _soft_merge(config: dict[str, Any], env_config: dict[str, Any], env_path: str | None = None) -> dict[str, Any]:
        """Merge as Kedro does by way of OmegaConf; both are resolved tables by now."""
        return merge(config, env_config)

    def _withhold(self, key: str, file: dict[str, Any]) -> None:
        """Take what only the account's own files may say out of a file of conf/local, and remember that."""
        pinned = {str(name) for name in file if str(name).startswith(PINNED.get(key, ()))}
        if pinned and self._needs_arming():
            self.withheld |= {f"{name} ({key})" for name in pinned}
            for name in pinned:
                del file[name]

    def _needs_arming(self) -> bool:
        """Whether the files of the account say that it trades real money."""
        base, own, *_ = super()._read_raw_config("parameters")
        files = [select(file, "execution.needs_arming") for file in (*base.values(), *own.values())]
        return any(files)

    def _refuse_unknown(self, parameters: dict[str, Any]) -> None:
        """Refuse a name that nothing reads: a misspelt ``dry_run`` would be no dry run."""
        unknown = {str(name) for name in parameters if not str(name).startswith("_")} - self._known
        known = self._known | self._runtime_names() if unknown else self._known
        for name in sorted(unknown - known):
            refuse_unknown_parameter(name, known, "--params" if name in self.runtime_params else self._place_of(name))

    def _refuse_params_of_real_money(self) -> None:
        """Refuse limits and identity of an account with real money in --params: they come from its files only."""
        named = limits_of_real_money(self.runtime_params)
        if named and self._needs_arming():
            refuse_limits_of_real_money(named, self.environment)

    def _runtime_names(self) -> set[str]:
        """Names that files take from ``--params``; `globals` may not, and what files refer to is not resolved."""
        catalog = self._read_raw_config("catalog")
        files = [*catalog[0].values(), *catalog[1].values(), *self._read_local("catalog").values()]
        for kind in ("credentials", "mlflow"):
            for folder in self._names_of_layers():
                files += self._read_layer(kind, folder)
        return self._taken_by_parameters | names_from_params(files)


LOADER_OPTIONS: Final[dict[str, Any]] = {
    "base_env": "base",
    "default_run_env": DEFAULT_ENVIRONMENT,
    # An environment that sets one key keeps the siblings of that key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft", "globals": "soft"},
    "custom_resolvers": CUSTOM_RESOLVERS,
}
"""How the project's configuration is read, by sessions of Kedro and by the commands that need none."""
