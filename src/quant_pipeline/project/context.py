"""Kedro's context of the project."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.validation import ParameterValidationError
from kedro.validation.type_extractor import TypeExtractor
from kedro.validation.utils import _MISSING, resolve_nested_dict_path
from pydantic import BaseModel, ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.project.configuration import ProjectConfigLoader
from quant_pipeline.project.opened_catalog import catalog_in_one_line

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig


class ProjectContext(KedroContext):
    """Kedro's context; parameters that do not fit their types are one message instead of a traceback.

    Parameters
    ----------
    **options
        As for `kedro.framework.context.KedroContext`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(self.config_loader, ProjectConfigLoader):
            # The configuration may lie elsewhere, by ``--conf-source``.
            self.config_loader.belong_to(self.project_path)

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

    def _get_catalog(self, *arguments: Any, **options: Any) -> CatalogProtocol[Any, Any]:
        """Make the catalog; what Kedro refuses is one line."""
        if not isinstance(self.config_loader, ProjectConfigLoader):
            return super()._get_catalog(*arguments, **options)
        with catalog_in_one_line(self.config_loader):
            return super()._get_catalog(*arguments, **options)

    @property
    def params(self) -> dict[str, Any]:
        """Validated parameters.

        Raises
        ------
        ConfigurationError
            When a block has an unknown key or a value that does not fit; the message lists all of them.
        """
        told_by_kedro = logging.getLogger("kedro.validation.parameter_validator")
        told_by_kedro.addFilter(_nothing)
        try:
            return super().params
        except ParameterValidationError as error:
            found = "; ".join(self._faults()) or " ".join(str(error).split())
            raise ConfigurationError(f"{found}. Correct it there.") from error
        finally:
            told_by_kedro.removeFilter(_nothing)

    def _faults(self) -> Iterator[str]:
        """Validate once more what Kedro has validated: its error holds text of pydantic only."""
        names = self._pipelines_to_validate or list(pipelines)
        kinds = TypeExtractor({name: pipelines[name] for name in names}).extract_types_from_pipelines()
        loader = self.config_loader
        place_of = loader.place_of if isinstance(loader, ProjectConfigLoader) else None
        for block, kind in kinds.items():
            value = resolve_nested_dict_path(loader["parameters"], block)
            if isinstance(kind, type) and issubclass(kind, BaseModel) and value is not _MISSING:
                try:
                    kind.model_validate(value)
                except ValidationError as error:
                    yield describe_faults(error, kind, block, place_of)


def _nothing(_: logging.LogRecord) -> bool:
    """Leave out what Kedro logs of an error that is raised as well."""
    return False
