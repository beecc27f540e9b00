"""The registered models: the ``models`` block of the parameters, read when the pipelines are made."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from kedro.config import AbstractConfigLoader
from kedro.framework.project import settings
from kedro.utils import find_kedro_project
from pydantic import BaseModel, ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.project.configuration import ProjectConfigLoader

Block = TypeVar("Block", bound=BaseModel)

TAKEN: Final = {"fused": "the default combination", "file": "the file of scores"}
"""Names that sources of orders have already, and what they mean."""
_NAME = re.compile(r"[\w-]+")
_session_loader: AbstractConfigLoader | None = None
_as_read: tuple[AbstractConfigLoader | None, dict[str, Any]] = (None, {})


def use_config_loader(loader: AbstractConfigLoader) -> None:
    """Read the registry through the configuration of a running session, so that ``--env`` and ``--params`` count."""
    global _session_loader
    _session_loader = loader


def load_model_registry() -> dict[str, ModelSpec]:
    """Return the enabled models by name, in the order of the YAML.

    Raises
    ------
    ConfigurationError
        When an entry has an unknown key or a value of the wrong type; the message lists all of them.
    """
    entries: dict[str, Any] = _parameters()["models"]
    for name, entry in entries.items():
        if isinstance(entry, dict) and not entry.keys() & {"algorithm", "features"}:
            known = first_of(other for other in entries if other != name)
            raise ConfigurationError(
                f"{_place_of(f'models.{name}')} sets keys of a model '{name}', which is not registered; there are "
                f"{known}."
            )
    specs = {name: _specification(name, entry) for name, entry in entries.items()}
    return {name: spec for name, spec in specs.items() if spec.enabled}


def models_of_session() -> list[str]:
    """Return the names of the enabled models of a running session; none without one."""
    return [] if _session_loader is None else list(load_model_registry())


def read_block(name: str, kind: type[Block]) -> Block:
    """Read a block of the parameters that decides which nodes there are.

    Raises
    ------
    ConfigurationError
        When it has an unknown key or a value that does not fit; the message lists all of them.
    """
    return _validated(name, _parameters()[name], kind)


def _validated(block: str, given: Any, kind: type[Block]) -> Block:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(f"{describe_faults(error, kind, block, _place_of)}. Correct it there.") from error


def _specification(name: str, entry: Any) -> ModelSpec:
    spec = _validated(f"models.{name}", entry, ModelSpec)
    if name in TAKEN:
        raise ConfigurationError(
            f"'{name}' cannot name a model ({_place_of('models')}): as a source of orders it means {TAKEN[name]}."
        )
    for what, text in (("a model", name), ("a feature set", spec.features)):
        if not _NAME.fullmatch(text):
            raise ConfigurationError(
                f"{text!r} cannot name {what} ({_place_of('models')}): it becomes a folder. Take letters, digits, _ "
                "and -."
            )
    return spec


def _place_of(key: str) -> str:
    loader = _as_read[0]
    return loader.place_of(key) if isinstance(loader, ProjectConfigLoader) else "parameters_models.yml"


def factor_file_of(feature_set: str) -> dict[str, str]:
    """Return the dataset of the factor file of a feature set as an argument of a node; none when it has no file."""
    configured = _parameters()["feature_sets"].get(feature_set)
    file = configured.get("file") if isinstance(configured, dict) else None
    return {} if file is None else {"factor_file": f"{file}.factor_file"}


def label_dataset(spec: ModelSpec) -> str:
    """Return the dataset of the labels that a model learns."""
    return "labels" if spec.label is None else f"{spec.label.title}.labels"


def label_parameter(name: str, spec: ModelSpec) -> str:
    """Return the parameter that says what a model learns to predict."""
    return "params:label" if spec.label is None else f"params:models.{name}.label"


def models_of_own_labels() -> dict[str, ModelSpec]:
    """Return one enabled model for each label that is not that of the others."""
    found: dict[str, str] = {}
    registry = load_model_registry()
    for name, spec in registry.items():
        if spec.label is not None:
            found.setdefault(spec.label.title, name)
    return {name: registry[name] for name in found.values()}


def longest_label() -> str:
    """Return the parameter of the label with the longest horizon: gaps between parts of the time need that."""
    horizon, parameter = int(_parameters()["label"].get("horizon", 1)), "params:label"
    for name, spec in load_model_registry().items():
        if spec.label is not None and spec.label.horizon > horizon:
            horizon, parameter = spec.label.horizon, label_parameter(name, spec)
    return parameter


def load_tuning_parameters() -> dict[str, Any]:
    """Return the raw ``tuning`` block: which models have a space decides which are searched."""
    return _parameters()["tuning"]


def load_order_generation_parameters() -> dict[str, Any]:
    """Return the raw ``order_generation`` block: whose score becomes orders decides which scores must be there."""
    return _parameters()["order_generation"]


def asks_models() -> bool:
    """Return whether scores of models become orders; those of a file need neither models nor predictions."""
    return bool(load_order_generation_parameters()["source"] != "file")


def _parameters() -> dict[str, Any]:
    """Read all parameters once per loader: a loader rereads every file whenever it is asked."""
    global _as_read
    # A loader is a mapping and falsy while nothing has been read from it, so `or` would be wrong here.
    loader = _project_loader(os.getenv("KEDRO_ENV")) if _session_loader is None else _session_loader
    if _as_read[0] is not loader:
        _as_read = loader, loader["parameters"]
    return _as_read[1]


@lru_cache(maxsize=1)
def _project_loader(env: str | None) -> AbstractConfigLoader:
    project = find_kedro_project(Path(__file__).absolute()) or Path.cwd()
    return settings.CONFIG_LOADER_CLASS(
        conf_source=str(Path(project) / settings.CONF_SOURCE), env=env, **settings.CONFIG_LOADER_ARGS
    )
