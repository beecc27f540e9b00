"""What the project has to know about an algorithm, in one record.

A record is read to validate specifications and to describe models, so its module imports only what is light; the
functions of a record import the libraries that fit and load when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, PositiveInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.factors.processors import FillMissing, ProcessorSpec, RobustZScore
from quant_pipeline.models.fitted import FittedModel, Samples

Share = Annotated[float, Field(gt=0, le=1)]
"""A part of something, above zero."""


class HyperParameters(Parameters):
    """Typed hyper-parameters of an algorithm; every field has a default, and a key that is no field is refused.

    Attributes
    ----------
    algorithm
        Name of the algorithm in the specification; set by `ModelSpec`.
    """

    algorithm: str = ""


class SequenceHyper(HyperParameters):
    """Hyper-parameters of an algorithm whose scores look back over several sessions.

    Attributes
    ----------
    window
        Sessions that one score looks back over, its own included.
    """

    window: PositiveInt = 1

    @property
    def panel_window(self) -> int:
        """Rows of an instrument that one score needs; fewer than the window where a row holds several sessions."""
        return self.window


Hyper = TypeVar("Hyper", bound=HyperParameters)


@dataclass(frozen=True)
class Algorithm(Generic[Hyper]):
    """One algorithm.

    Attributes
    ----------
    hyper
        Class of its hyper-parameters; one derived from `SequenceHyper` makes it a sequence model.
    fit
        ``fit(train, valid, hyper, seed)`` returns a fitted model. It learns from the samples of the training segment
        only; those of the validation segment may stop it early. The same arguments give the same model, bit for bit.
    load
        ``load(weights, factors, hyper)`` makes a model again from what its `FittedModel.weights` returned; ``factors``
        are the names of the columns.
    continue_from
        ``continue_from(previous, train, valid, hyper, seed)`` goes on learning from a fitted model of this algorithm;
        None when it can only be retrained.
    processors
        Steps between factors and model where a specification names none: by default they are scaled, and missing
        values filled.
    libraries
        Packages that fit it, as they are imported; a function of the hyper-parameters where they depend on these. A
        bundle records their versions, beside those of `models.libraries.SHARED`.
    arithmetic
        Version of what it computes, raised where the same arguments give other bits than before; a function of the
        hyper-parameters where it depends on these. A model of another version is trained again.
    """

    hyper: type[Hyper]
    fit: Callable[[Samples, Samples, Hyper, int], FittedModel]
    load: Callable[[dict[str, bytes], list[str], Hyper], FittedModel]
    continue_from: Callable[[Any, Samples, Samples, Hyper, int], FittedModel] | None = None
    processors: tuple[ProcessorSpec, ...] = (RobustZScore(), FillMissing())
    libraries: tuple[str, ...] | Callable[[Hyper], Collection[str]] = ()
    arithmetic: int | Callable[[Hyper], int] = 1

    def packages(self, hyper: Hyper) -> Collection[str]:
        """Return the packages that fit a model with these hyper-parameters."""
        return self.libraries(hyper) if callable(self.libraries) else self.libraries

    def arithmetic_of(self, hyper: Hyper) -> int:
        """Return the version of what it computes with these hyper-parameters."""
        return self.arithmetic(hyper) if callable(self.arithmetic) else self.arithmetic
