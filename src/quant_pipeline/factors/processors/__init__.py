"""Processors: what happens to features and labels between the engine and a model.

A processor that learns something learns it from the training window only; its state travels with the model, so that
prediction transforms exactly as training did and never fits again.
"""

from quant_pipeline.factors.kernels.measures import MAD_TO_DEVIATION
from quant_pipeline.factors.processors.chain import ProcessorChain, compares, drop_missing_labels
from quant_pipeline.factors.processors.fitted import BLOCK, Arrays
from quant_pipeline.factors.processors.specs import (
    CrossSectionalFill,
    CrossSectionalRank,
    CrossSectionalZScore,
    FillMissing,
    Neutralise,
    ProcessorSpec,
    RobustZScore,
    Winsorise,
)

__all__ = [
    "BLOCK",
    "MAD_TO_DEVIATION",
    "Arrays",
    "CrossSectionalFill",
    "CrossSectionalRank",
    "CrossSectionalZScore",
    "FillMissing",
    "Neutralise",
    "ProcessorChain",
    "ProcessorSpec",
    "RobustZScore",
    "Winsorise",
    "compares",
    "drop_missing_labels",
]
