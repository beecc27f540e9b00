"""The files of a configuration, layer by layer: what each says, before anything is merged or resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from fsspec.utils import glob_translate
from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import OmegaConf

from quant_pipeline.common.environments import LOCAL
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.fast_yaml import fast_loader
from quant_pipeline.project.references import require_plain
from quant_pipeline.project.refused_configuration import leads_somewhere

SUFFIXES = (".yml", ".yaml", ".json")
MLFLOW_PATTERNS = ["mlflow*", "mlflow*/**", "**/mlflow*"]
"""As kedro-mlflow sets them, which may be later than the first question."""


class ConfigurationFiles(OmegaConfigLoader):
    """Kedro's loader of YAML, with what its files say by themselves: base, then the account, then conf/local.

    Parameters
    ----------
    conf_source, env, **options
        As for `kedro.config.OmegaConfigLoader`.

    Raises
    ------
    ConfigurationError
        When there is no such folder, or a file holds no keys.
    """

    def __init__(self, conf_source: str, env: str | None = None, **options: Any) -> None:
        self._root = Path(conf_source)
        self.project = self._root.absolute().parent
        """Folder of the project, at which relative paths begin."""
        self._raw: dict[str, list[dict[str, Any]]] = {}
        if not self._root.exists() and "://" not in str(conf_source):
            raise ConfigurationError(
                f"There is no {self._root.name}/ in {self._root.absolute().parent}; start in the project or pass "
                "--conf-source."
            )
        super().__init__(conf_source, env, **options)
        self.config_patterns.setdefault("mlflow", MLFLOW_PATTERNS)

    @property
    def environment(self) -> str:
        """Name of the environment, which is the account."""
        return self.env or self.default_run_env

    def raw_files(self, key: str) -> list[dict[str, Any]]:
        """Return the files of one kind, of base, the environment and conf/local, unresolved; only to be read."""
        if key not in self._raw:
            read: Any = super()._read_raw_config(key)
            self._raw[key] = [*read[0].values(), *read[1].values(), *self._read_local(key).values()]
        return self._raw[key]

    def texts(self) -> Iterator[str]:
        """Read the text of every file of this configuration."""
        for file in self._files().values():
            # Locks of editors are links to nowhere.
            if not file.name.startswith("."):
                yield self._text_of(file)

    def read_beside(self, name: str) -> str | None:
        """Return the text of a file that lies beside the environments, or None when there is none."""
        file = Path(self._get_conf_env_path(name)).as_posix()
        return str(self._fs.read_text(file, encoding="utf-8")) if self._fs.isfile(file) else None

    def shell_variables(self, entry: str | None) -> dict[str, str]:
        """Return the shell variables from which an entry of the credentials takes its keys, by key."""
        variables: dict[str, str] = {}
        for folder in self._names_of_layers():
            for file in self._read_layer("credentials", folder):
                for key, value in (file.get(str(entry)) or {}).items():
                    variables |= {str(key): name for name in re.findall(r"\$\{oc\.env: *(\w+)", str(value))}
        return variables

    def local_files(self) -> list[str]:
        """Return the names of the files of conf/local that set anything, in order."""
        folder = Path(self._get_conf_env_path(LOCAL))
        found = {file for key in self.config_patterns for file, content in self._read_local(key).items() if content}
        return sorted(file.relative_to(folder).as_posix() for file in found)

    def place_of(self, key: str, kind: str = "parameters") -> str:
        """Return what sets a parameter, or the nearest part of its name that is set: ``--params`` or a file.

        Parameters
        ----------
        key
            Name of the parameter, for instance ``strategy.topk``.
        kind
            ``globals`` for one of these, which ``--params`` do not set.
        """
        path = key.split(".")
        for length in range(len(path), 0, -1):
            if kind == "parameters" and leads_somewhere(self.runtime_params, path[:length]):
                return "--params"
            for layer in reversed(self._names_of_layers()):
                folder = Path(self._get_conf_env_path(layer))
                for file, content in self._files_of(kind, folder).items():
                    if leads_somewhere(content, path[:length]):
                        return f"{folder.parent.name}/{layer}/{file.relative_to(folder).as_posix()}"
        return self._names_of_folders()

    def _read_dir_configs(
        self,
        conf_path: str,
        patterns: Iterable[str],
        key: str,
        processed_files: set[Path],
        read_environment_variables: bool | None = False,
    ) -> dict[Path, dict[str, Any]]:
        """Read the files of a folder as Kedro does, as plain tables instead of trees of OmegaConf."""
        folder = Path(conf_path).as_posix()
        if not self._fs.isdir(folder):
            raise MissingConfigException(f"There is no folder {folder}")
        fits = [re.compile(glob_translate(pattern)).match for pattern in patterns]
        # Patterns are those of names in the folder; its own name may have the signs of one.
        root = str(self._fs._strip_protocol(folder)).rstrip("/")
        names = (name for name in self._fs.find(root) if any(fit(name.removeprefix(f"{root}/")) for fit in fits))
        files = [Path(name) for name in sorted(names) if not (self.ignore_hidden and self._is_hidden(name))]
        found = {file: self._read_file(file) for file in files if self._is_valid_config_path(file)}
        processed_files.update(found)
        if read_environment_variables:
            found = {file: self._with_variables(content) for file, content in found.items()}
        self._check_duplicates(key, found)
        return found

    def _read_file(self, file: Path) -> Any:
        text = self._fs.read_text(file.as_posix(), encoding="utf-8")
        return require_plain(yaml.load(text, Loader=fast_loader()))  # noqa: S506 - it is a safe one

    def _with_variables(self, content: dict[str, Any]) -> Any:
        """Put variables of the shell in their places, which only credentials may name."""
        tree = OmegaConf.create(content)
        self._resolve_environment_variables(tree)
        return OmegaConf.to_container(tree)

    def _check_duplicates(self, key: str, config_per_file: dict[Path, Any]) -> None:
        """Check, as Kedro does, that no two files set the same key; before that, that they hold keys at all.

        Raises
        ------
        ConfigurationError
            When a file holds a list, or one value.
        """
        for file, content in config_per_file.items():
            if not isinstance(content, dict):
                name = next((name for name, path in self._files().items() if path == file), file.as_posix())
                held = "a list" if isinstance(content, list) else "a single value"
                raise ConfigurationError(f"{name} holds {held}; it has to hold `key: value` lines.")
        # Kedro looks into tables of parameters; it takes trees of OmegaConf there, and names elsewhere.
        nested = key == "parameters"
        names = {
            file: dict.fromkeys(self._get_all_keys(content)) for file, content in config_per_file.items() if nested
        }
        super()._check_duplicates("names", names or config_per_file)

    def _read_local(self, key: str) -> dict[Path, dict[str, Any]]:
        folder = self._get_conf_env_path(LOCAL)
        if not self._fs.isdir(Path(folder).as_posix()):
            return {}
        patterns = self.config_patterns[key]
        files: dict[Path, dict[str, Any]] = self._read_dir_configs(folder, patterns, key, set(), key == "credentials")
        return files

    def _read_layer(self, kind: str, folder: str) -> list[dict[str, Any]]:
        """Read the files of one layer without resolving them; a layer that is not there has none."""
        path = self._get_conf_env_path(folder)
        if not self._fs.isdir(Path(path).as_posix()):
            return []
        return list(self._read_dir_configs(path, self.config_patterns[kind], kind, set()).values())

    def _files_of(self, kind: str, folder: Path) -> dict[Path, dict[str, Any]]:
        if not self._fs.isdir(folder.as_posix()):
            return {}
        found: dict[Path, dict[str, Any]] = self._read_dir_configs(str(folder), self.config_patterns[kind], kind, set())
        return found

    def _place_of(self, parameter: str) -> str:
        local = any(parameter in file for file in self._read_local("parameters").values())
        return f"conf/{LOCAL if local else self.environment}"

    def _names_of_layers(self) -> list[str]:
        return [*dict.fromkeys((self.base_env, self.environment)), LOCAL]

    def _files(self) -> dict[str, Path]:
        """Return the files that may be read by the names that a user knows them by, also those of an archive."""
        files: dict[str, Path] = {}
        for layer in self._names_of_layers():
            folder = Path(self._get_conf_env_path(layer))
            if self._fs.isdir(folder.as_posix()):
                inside = folder.rglob("*") if self._root.is_dir() else map(Path, self._fs.find(folder.as_posix()))
                found = sorted(file for file in inside if file.suffix in SUFFIXES)
                files |= {f"{folder.parent.name}/{layer}/{file.relative_to(folder).as_posix()}": file for file in found}
        return files

    def _names_of_folders(self) -> str:
        return " or ".join(dict.fromkeys("/".join(name.split("/")[:2]) for name in self._files()))

    def _text_of(self, file: Path) -> str:
        return str(self._fs.read_text(file.as_posix(), encoding="utf-8"))
