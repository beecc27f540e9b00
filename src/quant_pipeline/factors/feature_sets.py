"""Named feature sets: a shipped library of expressions, own expressions, or both."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field, model_validator

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.factors import alpha101, alpha158, alpha360

LIBRARIES = {"alpha101": alpha101.EXPRESSIONS, "alpha158": alpha158.EXPRESSIONS, "alpha360": alpha360.EXPRESSIONS}

FROM_FILE = "factor file "
"""Beginning of what stands in the place of an expression for a factor that is read and not computed."""

TRADED = "$traded"
"""Column of a feature panel that is no factor: 1 where the instrument has a bar, missing where it is suspended."""


def with_traded(expressions: Mapping[str, str]) -> dict[str, str]:
    """Add `TRADED` to the factors of a panel, for processors that compare the instruments of a session."""
    return {**expressions, TRADED: "$close/$close"}


class FeatureSet(Parameters):
    """One entry of ``feature_sets`` in the parameters.

    How far back a factor looks is no setting: the compiled expressions know it (`Program.back`).

    Attributes
    ----------
    library
        A shipped set of expressions.
    expressions
        Own factors, name to Qlib expression; they join those of the library.
    file
        A Parquet file of factors computed elsewhere: ``<name>.parquet`` in the folder ``01_raw/factors`` of the market,
        unless the catalog says otherwise of ``<name>.factor_file``.
    file_factors
        Factors of the file that are part of the set.
    """

    library: Literal["alpha101", "alpha158", "alpha360"] | None = None
    expressions: dict[str, str] = Field(default_factory=dict)
    file: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    file_factors: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _refuse_lookback(cls, data: Any) -> Any:
        if isinstance(data, dict) and "lookback" in data:
            raise ValueError("`lookback` is computed from the expressions now; delete the key")
        return data

    @model_validator(mode="after")
    def _has_factors(self) -> "FeatureSet":
        if self.library is None and not self.expressions and self.file is None:
            raise ValueError("a feature set needs a library, expressions or a file")
        if (self.file is None) != (not self.file_factors):
            raise ValueError("`file` and `file_factors` belong together: name the factors of the file to take")
        if len(set(self.file_factors)) < len(self.file_factors):
            raise ValueError("`file_factors` names a factor twice")
        return self

    def computed_expressions(self) -> dict[str, str]:
        """Every factor of the set that is computed from bars, name to expression.

        Raises
        ------
        ConfigurationError
            When an own factor takes a name that the library uses.
        """
        library = LIBRARIES[self.library] if self.library else {}
        taken = sorted(set(library) & set(self.expressions))
        if taken:
            raise ConfigurationError(
                f"factors {taken} exist in library '{self.library}' already; rename them in parameters_features.yml"
            )
        return {**library, **self.expressions}

    def all_expressions(self) -> dict[str, str]:
        """Every factor of the set, name to expression; in the place of one stands `FROM_FILE` for those of a file.

        Raises
        ------
        ConfigurationError
            When two factors have the same name.
        """
        computed = self.computed_expressions()
        taken = sorted({*computed, TRADED} & set(self.file_factors))
        if taken:
            raise ConfigurationError(
                f"factors {taken} of the file '{self.file}' have names of computed ones; rename them in the file"
            )
        return computed | dict.fromkeys(self.file_factors, f"{FROM_FILE}{self.file}")


def find_feature_set(name: str, configured: Mapping[str, Any]) -> FeatureSet:
    """Find a feature set by name: a configured one first, then a shipped library.

    Parameters
    ----------
    name
        What the user typed.
    configured
        The ``feature_sets`` block of the parameters.

    Raises
    ------
    ConfigurationError
        When there is no such set; the message names the nearest one.
    """
    if name in configured:
        return FeatureSet.model_validate(configured[name])
    if name in LIBRARIES:
        return FeatureSet.model_validate({"library": name})
    names = sorted({*configured, *LIBRARIES})
    near = get_close_matches(name, names, n=1, cutoff=0.0)
    raise ConfigurationError(
        f"there is no feature set '{name}'; did you mean '{near[0]}'? There are {first_of(names)}; add others under "
        "`feature_sets` in parameters_features.yml."
    )
