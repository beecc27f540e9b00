"""A model bundle: everything that is needed to score new sessions, in one immutable directory.

It holds the weights, the factor expressions in their order, the *fitted* state of the processors, the label, the
training window, golden rows (inputs with the scores they must give) and the versions of the libraries. Loading
verifies every file against its hash, the description against the identity and the golden rows against the model; it
unpickles nothing, and runs no code but that of the algorithm that the description names.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from quant_pipeline.common.atomic import replacing_folder
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.labels import known_after
from quant_pipeline.factors.processors import Arrays, compares
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.models.fitted import FittedModel, Samples, importance_table, learning_curve
from quant_pipeline.models.fitting import libraries_of, load_model, table_of, weights_of
from quant_pipeline.models.panels import Features
from quant_pipeline.models.scoring import score_panel, scored_samples
from quant_pipeline.models.spec import ModelSpec

MANIFEST = "manifest.json"
PROCESSORS = "processors.safetensors"
GOLDEN_INPUTS, GOLDEN_SCORES = "golden_inputs.parquet", "golden_scores.parquet"
CURVE, IMPORTANCE = "learning_curve.parquet", "importance.parquet"
TABLES = (GOLDEN_INPUTS, GOLDEN_SCORES, CURVE, IMPORTANCE)
RESERVED = frozenset((MANIFEST, PROCESSORS, *TABLES))
REPORTED = frozenset((GOLDEN_SCORES, CURVE, IMPORTANCE))
"""Files that describe a model and do not decide it: sums of another order of threads may end on other last bits."""
GOLDEN_TOLERANCE = 1e-5


@dataclass(frozen=True)
class BundleFacts:
    """What a bundle says about itself.

    Attributes
    ----------
    spec
        Specification it was trained from.
    expressions
        Factor name to expression, in the order of the columns.
    label
        Label expression.
    window
        First and last session of training and validation, ``YYYY-MM-DD``.
    calendar
        Exchange calendar the sessions belong to.
    inputs
        Hashes of everything it was trained from, and the source of its bars in words, see `models.fingerprint`.
    """

    spec: ModelSpec
    expressions: dict[str, str]
    label: str
    window: dict[str, list[str]]
    calendar: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """What made the bars that it was trained on; empty when they did not say."""
        return self.inputs.get("source", "")

    @property
    def learned_until(self) -> pd.Timestamp:
        """Session at whose close the last label that entered was known: a score of it or an earlier one is no test."""
        last = pd.Timestamp(self.window["valid"][1])
        return TradingCalendar.of(self.calendar, last, last).offset(last, known_after(self.label))

    @property
    def columns(self) -> list[str]:
        """Columns of a feature panel that scores depend on: the factors and, for processors that compare, `TRADED`."""
        return [*self.expressions, *([TRADED] if compares(self.spec.processors) else [])]


@dataclass(frozen=True)
class ModelBundle:
    """A fitted model with everything it needs.

    Attributes
    ----------
    facts
        What it is.
    model
        The fitted algorithm.
    processor_states
        Learned state of every processor.
    golden_inputs, golden_scores
        Unprocessed features of a few instruments, and the scores they give.
    learning_curve
        ``step``, ``metric``, ``value``: what was seen while learning.
    importance
        ``factor``, ``importance``, most important first.
    libraries
        Versions of the libraries that made it, by distribution; not part of its identity.
    """

    facts: BundleFacts
    model: FittedModel
    processor_states: list[Arrays]
    golden_inputs: pd.DataFrame
    golden_scores: pd.Series
    learning_curve: pd.DataFrame
    importance: pd.DataFrame
    libraries: Mapping[str, str]

    @cached_property
    def identity(self) -> str:
        """Hash of what decides the scores: weights, processors, golden inputs and what the bundle says about itself.

        Scores and measures that were reported in training are not hashed, so the same model has the same identity on
        another machine.
        """
        return _identity(_digests(_files(self)), _description(self.facts))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as files to another process: every algorithm can be made from them, not every model be pickled."""
        return _of_files, (self.facts, _files(self), dict(self.libraries))

    def predict(self, features: Features, rows: np.ndarray | None = None) -> pd.Series:
        """Score sessions with the stored processors; nothing is fitted.

        Parameters
        ----------
        features
            Unprocessed panel ``(datetime, instrument) × factor``, sorted, with at least the factors of the bundle. A
            sequence model needs the sessions of its window before each row.
        rows
            Places of the rows to score; None scores all.

        Returns
        -------
        pandas.Series
            ``score`` on the index of the rows; NaN where the window of a sequence model is not complete. A score uses
            rows of the panel at or before its session.

        Raises
        ------
        ModelError
            When a factor of the bundle is missing.
        """
        return score_panel(self.facts, self.model, self.processor_states, features, rows)

    def samples(self, features: Features, rows: np.ndarray | None = None) -> Samples:
        """Return what the model reads: the rows behind the stored processors; arguments and errors as of `predict`."""
        return scored_samples(self.facts, self.processor_states, features, rows)


def make_bundle(
    facts: BundleFacts, model: FittedModel, processor_states: list[Arrays], golden_inputs: pd.DataFrame
) -> ModelBundle:
    """Seal a fitted model: compute the scores that its golden inputs must always give."""
    golden_scores = score_panel(facts, model, processor_states, golden_inputs)
    return ModelBundle(
        facts,
        model,
        processor_states,
        golden_inputs,
        golden_scores,
        table_of(facts.spec, model, "curve", learning_curve([])),
        table_of(facts.spec, model, "importance", importance_table([], [])),
        libraries_of(facts.spec),
    )


def write_bundle(bundle: ModelBundle, folder: Path) -> None:
    """Write a bundle beside its place and rename it.

    The same model that lies there already, undamaged, is left alone, for others read it.
    """
    if _is_whole(folder, bundle.identity):
        return
    files = _files(bundle)
    files[MANIFEST] = _manifest(bundle, files)
    with replacing_folder(folder) as beside:
        for name, content in files.items():
            (beside / name).write_bytes(content)


def read_bundle(folder: Path) -> ModelBundle:
    """Read and verify a bundle.

    Raises
    ------
    ModelError
        When there is no bundle, a file is missing or was changed, or the model does not give the golden scores.
    """
    if not (folder / MANIFEST).is_file():
        raise ModelError(f"no model bundle in {folder}; train the model first: kedro run --pipelines training")
    facts, libraries, digests = _read_manifest(folder / MANIFEST)
    bundle = _of_files(facts, {name: _verified(folder / name, digest) for name, digest in digests.items()}, libraries)
    _check_golden_rows(bundle, folder)
    return bundle


def read_facts(folder: Path) -> BundleFacts:
    """Read what a bundle says about itself and verify it, but make its model only where it can score otherwise by now.

    The same files with the same versions of the libraries that wrote them give the golden scores, so these are computed
    only after a library has changed.

    Raises
    ------
    ModelError
        As `read_bundle`.
    """
    if not (folder / MANIFEST).is_file() or not _has_its_libraries(folder / MANIFEST):
        return read_bundle(folder).facts
    facts, _, digests = _read_manifest(folder / MANIFEST)
    for name, digest in digests.items():
        _verified(folder / name, digest)
    return facts


def _is_whole(folder: Path, identity: str) -> bool:
    """Return whether a folder holds the bundle of an identity, every file as it was written."""
    try:
        if read_json(folder / MANIFEST)["identity"] != identity:
            return False
        for name, digest in _read_manifest(folder / MANIFEST)[2].items():
            _verified(folder / name, digest)
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return False
    return True


def _has_its_libraries(manifest: Path) -> bool:
    try:
        libraries = read_json(manifest)["libraries"]
        return all(version(name) == recorded for name, recorded in libraries.items())
    except (ValueError, KeyError, TypeError, AttributeError, PackageNotFoundError):
        return False


def _read_manifest(file: Path) -> tuple[BundleFacts, dict[str, str], dict[str, str]]:
    """Read what a bundle says about itself, its libraries and the hash of every file.

    Facts and hashes are verified against the identity of the bundle.
    """
    try:
        manifest = read_json(file)
        described = {each.name: manifest[each.name] for each in fields(BundleFacts)}
        identity, digests, libraries = manifest["identity"], manifest["files"], dict(manifest["libraries"])
        facts = BundleFacts(
            spec=ModelSpec.model_validate(manifest["spec"]),
            expressions=dict(manifest["expressions"]),
            label=manifest["label"],
            window=manifest["window"],
            calendar=manifest["calendar"],
            inputs=manifest["inputs"],
        )
    except ValidationError as error:
        raise ModelError(
            f"the specification in {file} cannot be used ({describe_faults(error)}); bring back the algorithm it "
            "names, or, where another version of this project wrote it, train the model again"
        ) from error
    except KeyError as error:
        raise ModelError(
            f"the bundle in {file.parent} was written by another version of this project, which described models "
            f"differently (it has no {error}); train the model again"
        ) from error
    except (ValueError, TypeError) as error:
        raise _changed(file) from error
    if _identity(digests, described) != identity:
        if _hash([digests, described]) == identity:
            raise ModelError(
                f"the bundle in {file.parent} was written by another version of this project, which hashed learning "
                "curves into the identity of a model; train the model again"
            )
        raise _changed(file)
    return facts, libraries, digests


def _of_files(facts: BundleFacts, files: Mapping[str, bytes], libraries: Mapping[str, str]) -> ModelBundle:
    weights = {name: content for name, content in files.items() if name not in RESERVED}
    golden_inputs, golden_scores, curve, importance = (pd.read_parquet(io.BytesIO(files[name])) for name in TABLES)
    return ModelBundle(
        facts,
        load_model(facts.spec, weights, list(facts.expressions)),
        _unpack_states(load_arrays(files[PROCESSORS]), len(facts.spec.processors)),
        golden_inputs,
        golden_scores["score"],
        curve,
        importance,
        libraries,
    )


def _files(bundle: ModelBundle) -> dict[str, bytes]:
    return {
        **weights_of(bundle.facts.spec, bundle.model, RESERVED),
        PROCESSORS: save_arrays(_pack_states(bundle.processor_states)),
        GOLDEN_INPUTS: _parquet(bundle.golden_inputs),
        GOLDEN_SCORES: _parquet(bundle.golden_scores.to_frame()),
        CURVE: _parquet(bundle.learning_curve),
        IMPORTANCE: _parquet(bundle.importance),
    }


def _description(facts: BundleFacts) -> dict[str, Any]:
    return {
        "spec": facts.spec.as_stored(),
        "expressions": list(facts.expressions.items()),
        "label": facts.label,
        "window": facts.window,
        "calendar": facts.calendar,
        "inputs": dict(facts.inputs),
    }


def _manifest(bundle: ModelBundle, files: dict[str, bytes]) -> bytes:
    manifest = {
        "identity": bundle.identity,
        **_description(bundle.facts),
        "libraries": dict(bundle.libraries),
        "files": _digests(files),
    }
    return (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()


def _digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _identity(digests: dict[str, str], description: dict[str, Any]) -> str:
    deciding = {name: digest for name, digest in digests.items() if name not in REPORTED}
    return _hash([deciding, description])


def _hash(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _verified(file: Path, expected: str) -> bytes:
    if not file.is_file():
        raise ModelError(f"the bundle is incomplete: {file} is missing; train the model again")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        raise _changed(file)
    return content


def _changed(file: Path) -> ModelError:
    return ModelError(f"{file} is not what was written when the model was trained; train the model again")


def _check_golden_rows(bundle: ModelBundle, folder: Path) -> None:
    given = bundle.predict(bundle.golden_inputs).to_numpy()
    expected = bundle.golden_scores.to_numpy()
    if not np.allclose(given, expected, rtol=0, atol=GOLDEN_TOLERANCE, equal_nan=True):
        worst = np.nanmax(np.abs(given - expected))
        raise ModelError(
            f"the model in {folder} gives other scores on its golden rows than when it was trained (by {worst:.2g}); "
            "a library has changed its behaviour. Train it again."
        )


def _pack_states(states: list[Arrays]) -> Arrays:
    return {f"{step}.{name}": array for step, state in enumerate(states) for name, array in state.items()}


def _unpack_states(arrays: Arrays, n_steps: int) -> list[Arrays]:
    states: list[Arrays] = [{} for _ in range(n_steps)]
    for key, array in arrays.items():
        step, _, name = key.partition(".")
        states[int(step)][name] = array
    return states


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()
