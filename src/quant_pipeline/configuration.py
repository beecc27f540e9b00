"""Configuration as Kedro reads it, but what is wrong with it is one message: which file, which key, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.validation import ParameterValidationError
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from quant_pipeline.exceptions import ConfigurationError

if TYPE_CHECKING:
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

SUFFIXES = (".yml", ".yaml", ".json")
SHARED = {"base", "local"}
"""Folders of `conf/` that hold no account."""
MLFLOW_PATTERNS = ["mlflow*", "mlflow*/**", "**/mlflow*"]
"""As kedro-mlflow sets them, which may be later than the first question."""


class ProjectConfigLoader(OmegaConfigLoader):
    """Kedro's loader of YAML; an environment that is not there or a file that cannot be read is named.

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
        self._root = Path(conf_source)
        self._found: dict[str, dict[str, Any]] = {}
        self._found_for: dict[str, Any] = {}
        self._known: set[str] = set()
        self._taken_by_parameters: set[str] = set()
        super().__init__(conf_source, env, **options)
        self.config_patterns.setdefault("mlflow", MLFLOW_PATTERNS)
        # A configuration that is packed into an archive has no folders to look at.
        if self._root.is_dir() and not (self._root / self._environment).is_dir():
            accounts = {path.name for path in self._root.iterdir() if path.is_dir()} - SHARED
            raise ConfigurationError(
                f"There is no environment '{self._environment}' in {self._root.name}/; there are "
                f"{', '.join(sorted(accounts))}. `kedro account new {self._environment} --from sim` makes one for "
                "another account."
            )

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return one kind of configuration: ``parameters``, ``catalog``, ``globals`` and so on.

        Files are read once: Kedro asks half a dozen times for the same, and reading takes a quarter of a second. Who
        asks may change what is returned.
        """
        if key in self:
            return super().__getitem__(key)
        if self._found_for != self.runtime_params:
            self._forget()
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
        self._globals_oc = self._runtime_params_oc = None

    def _read(self, key: str) -> dict[str, Any]:
        try:
            found = super().__getitem__(key)
            if key == "parameters":
                self._refuse_unknown(found)
        except (YAMLError, OSError) as error:
            raise ConfigurationError(self._describe_unreadable(error)) from error
        except OmegaConfBaseException as error:
            raise ConfigurationError(
                f"`{error.full_key}` of the {key} of environment '{self._environment}' cannot be resolved: "
                f"{str(error).splitlines()[0]} Correct it in {self._names_of_folders()}."
            ) from error
        except ValueError as error:
            if not str(error).startswith("Duplicate keys"):
                raise
            raise ConfigurationError(
                f"{str(error).replace(f'{self._root.parent}/', '')}. Keep each key in one file of an environment."
            ) from error
        return found

    def _read_raw_config(self, key: str) -> Any:
        read = super()._read_raw_config(key)
        if key == "parameters":
            # Now, as Kedro merges what --params say into the first of these files.
            base, own = read[0].values(), read[1].values()
            self._known = {str(name) for file in base for name in file}
            self._taken_by_parameters = _names_from_params([*base, *own])
        return read

    def _refuse_unknown(self, parameters: dict[str, Any]) -> None:
        """Refuse a name that nothing reads: a misspelt ``dry_run`` would be no dry run."""
        unknown = {str(name) for name in parameters if not str(name).startswith("_")} - self._known
        known = self._known | self._runtime_names() if unknown else self._known
        for name in sorted(unknown - known):
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else "Its name and its default belong into conf/base."
            place = "--params" if name in self.runtime_params else f"conf/{self._environment}"
            raise ConfigurationError(f"Nothing reads the parameter '{name}' of {place}. {hint}")

    def _runtime_names(self) -> set[str]:
        """Names that files take from ``--params``; `globals` may not, and what files refer to is not resolved."""
        catalog = self._read_raw_config("catalog")
        files = [*catalog[0].values(), *catalog[1].values()]
        for kind in ("credentials", "mlflow"):
            for folder in {self.base_env, self._environment}:
                path = self._get_conf_env_path(folder)
                files += self._read_dir_configs(path, self.config_patterns[kind], kind, set()).values()
        return self._taken_by_parameters | _names_from_params(files)

    @property
    def _environment(self) -> str:
        return self.env or self.default_run_env

    def _folders(self) -> list[Path]:
        folders = [self._root / name for name in dict.fromkeys((self.base_env, self._environment))]
        return [folder for folder in folders if folder.is_dir()]

    def _names_of_folders(self) -> str:
        return " or ".join(f"{self._root.name}/{folder.name}" for folder in self._folders())

    def _describe_unreadable(self, error: Exception) -> str:
        """Name the first file that cannot be read; Kedro's own error counts lines from 0, or names no file at all."""
        for file in sorted(file for folder in self._folders() for file in folder.rglob("*") if file.suffix in SUFFIXES):
            name = file.relative_to(self._root.parent)
            try:
                OmegaConf.load(file)
            except MarkedYAMLError as problem:
                mark = problem.problem_mark
                place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
                return f"{name}{place}: {problem.problem}. Correct the YAML there."
            except (YAMLError, OSError) as problem:
                return f"{name}: {problem}. The file has to hold `key: value` lines."
        return str(error)


def _names_from_params(files: Iterable[Any]) -> set[str]:
    texts = (str(OmegaConf.to_container(file, resolve=False)) for file in files)
    return {name for text in texts for name in re.findall(r"\$\{runtime_params: *([\w-]+)", text)}


class ProjectContext(KedroContext):
    """Kedro's context; parameters that do not fit their types are one message instead of a traceback."""

    @cached_property
    def mlflow(self) -> KedroMlflowConfig:
        """Configuration of kedro-mlflow; MLflow is imported and its store opened when it is first asked for.

        Raises
        ------
        TrackingError
            When the store cannot be opened.
        """
        from quant_pipeline.tracking.opening import open_tracking

        return open_tracking(self).mlflow_config

    @property
    def params(self) -> dict[str, Any]:
        """Validated parameters.

        Raises
        ------
        ConfigurationError
            When a block has an unknown key or a value that does not fit; the message lists all of them.
        """
        try:
            return super().params
        except ParameterValidationError as error:
            told = [line for line in str(error).splitlines() if "For further information" not in line]
            remedy = "Correct them in the parameters*.yml of the environment or of conf/base, or in --params."
            raise ConfigurationError("\n".join([*told, remedy])) from error
