"""Training of one model, from panels to a sealed bundle."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.label_lookup import labels_of_rows
from quant_pipeline.factors.processors import BLOCK, CrossSectionalRank, ProcessorChain
from quant_pipeline.models.bundle import BundleFacts, ModelBundle, make_bundle
from quant_pipeline.models.digests import KnownTables
from quant_pipeline.models.fingerprint import CONTINUED, PARTS, VERSIONS, changes, fingerprint
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.fitting import fit_model
from quant_pipeline.models.panel_rows import in_sessions, in_span, is_member
from quant_pipeline.models.panels import FeaturePanel, Features, PanelView, as_panel, rows_of_windows, take_rows
from quant_pipeline.models.processed import ProcessedPanel

logger = logging.getLogger(__name__)

GOLDEN_INSTRUMENTS = 3
GOLDEN_SESSIONS_BEFORE = 1
"""Sessions that golden inputs have besides the window of their last row and that row."""
SMALLEST_TRAINING_SET = 100
LEARNED_AT_ONCE = 2**26
"""Values of factors that processors learn from at once; they make some copies of them."""


def train_bundle(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: dict[str, pd.DatetimeIndex],
    previous: ModelBundle | None = None,
) -> ModelBundle:
    """Fit processors and model on the training segment and seal them.

    Parameters
    ----------
    facts
        What the bundle is to say about itself; its expressions choose the factors.
    features
        Unprocessed panel of the whole history, as a table or as a panel that is read when it is needed.
    labels
        Label of every row; NaN where it is not realised.
    members
        ``date``, ``instrument``: the universe. Only members are learned from.
    segments
        ``train`` and ``valid`` sessions with a gap between them, see `split_sessions`.
    previous
        Bundle to continue from: its processors stay as they were fitted, and its model goes on learning.

    Returns
    -------
    ModelBundle
        Nothing after the last ``valid`` session has entered it.

    Raises
    ------
    ModelError
        When hardly any row of the training segment has a label, or the model cannot continue from ``previous``.
    """
    chain = None if previous is None else _processors_of(previous, facts)
    prepared = prepare(facts, features, labels, members, segments, chain)
    return fit_bundle(facts, prepared, previous)


class Prepared(NamedTuple):
    """What a model learns from.

    Attributes
    ----------
    known
        Unprocessed features of the sessions that are needed.
    chain
        The processors, fitted.
    samples
        Of ``train`` and ``valid``, behind the processors.
    """

    known: PanelView
    chain: ProcessorChain
    samples: dict[str, Samples]


def prepare(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: dict[str, pd.DatetimeIndex],
    chain: ProcessorChain | None = None,
) -> Prepared:
    """Choose the rows to learn from and fit the processors; arguments and errors as of `train_bundle`.

    Parameters
    ----------
    facts, features, labels, members, segments
        As for `train_bundle`; of the specification the processors, the factors and the window count.
    chain
        Fitted processors, which are left as they are; None fits those of the specification.
    """
    known = PanelView(features, _needed(as_panel(features), segments, facts.spec.window), facts.columns)
    label = labels_of_rows(known.index, labels)
    usable = is_member(known.index, members) & label.notna().to_numpy()
    rows = {name: np.flatnonzero(usable & in_sessions(known.index, segments[name])) for name in ("train", "valid")}
    for name, indices in rows.items():
        if len(indices) < SMALLEST_TRAINING_SET:
            raise ModelError(
                f"{facts.spec.title}: only {len(indices)} rows of segment '{name}' have a label and are members. "
                "Check the dates of `split` (parameters_models.yml) and the conditions of `universe`."
            )
        _require_others(known.index[indices], facts.spec.title, name)
    if chain is None:
        chain = ProcessorChain(facts.spec.processors)
        _fit(chain, known, rows["train"])
    processed = ProcessedPanel(known, chain, several_passes=True)
    samples = {name: Samples(processed, indices, _ranked(label.iloc[indices])) for name, indices in rows.items()}
    return Prepared(known, chain, samples)


def fit_bundle(facts: BundleFacts, prepared: Prepared, previous: ModelBundle | None = None) -> ModelBundle:
    """Fit a model to what is prepared, and seal it; arguments and errors as of `train_bundle`."""
    train, valid = prepared.samples["train"], prepared.samples["valid"]
    model = fit_model(facts.spec, train, valid, previous.model if previous else None)
    golden_inputs = _golden_inputs(prepared.known, train.rows, facts.spec.window)
    return make_bundle(facts, model, prepared.chain.states, golden_inputs)


def _fit(chain: ProcessorChain, known: PanelView, rows: npt.NDArray[np.int64]) -> None:
    """Let processors learn from the rows of training, as many factors at once as memory is meant for."""
    needed = rows_of_windows(known, rows, 1)
    at_once = max(min(LEARNED_AT_ONCE // (needed.stop - needed.start), BLOCK), 1)
    chain.fit(lambda names: known.read(needed, names), list(known.columns), rows - needed.start, at_once)


def _require_others(index: pd.MultiIndex, title: str, segment: str) -> None:
    """Refuse sessions of a single instrument, which have nothing to rank."""
    if np.bincount(index.codes[0]).max() < 2:
        instruments = index.unique("instrument")
        raise ModelError(
            f"{title}: no session of segment '{segment}' has two instruments ({len(instruments)} in all, such as "
            f"{instruments[0]}), and models learn to order the instruments of a session. Bring more, or trade scores "
            "of your own: `order_generation.source: file` (docs/guides/account.md)."
        )


def train_or_keep(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: dict[str, pd.DatetimeIndex],
    found: ModelBundle | None,
    known: KnownTables | None = None,
) -> ModelBundle:
    """Return the bundle at hand when it was trained from these very inputs, and train one otherwise.

    A second run, or a run after a crash, therefore trains only what is missing or has changed.

    Parameters
    ----------
    facts, features, labels, members, segments
        As for `train_bundle`.
    found
        What an earlier run left, or None.
    known
        What is known of the digests of these tables.
    """
    inputs = fingerprint(facts, features, labels, members, segments, known)
    if found is not None and not changes(found.facts.inputs, inputs):
        logger.info("%s: kept, nothing it was trained from has changed", facts.spec.title)
        return found
    return train_bundle(replace(facts, inputs=inputs), features, labels, members, segments)


def continue_or_keep(
    facts: BundleFacts,
    features: Features,
    labels: pd.Series,
    members: pd.DataFrame,
    segments: dict[str, pd.DatetimeIndex],
    found: ModelBundle | None,
    champion: ModelBundle,
    known: KnownTables | None = None,
) -> ModelBundle:
    """Go on learning from the champion in a later window; a second run returns what the first one made.

    Parameters
    ----------
    facts, features, labels, members, segments
        As for `train_bundle`.
    found
        The newest bundle: kept when it went on from some champion and everything else it learned from is the same. A
        champion that another version of the project continued is kept, too: its own champion is not at hand.
    champion
        Bundle to continue from.
    known
        What is known of the digests of these tables.

    Raises
    ------
    ModelError
        When the window is not later than the champion's, or would test it on what it has learned, or the model cannot
        be continued.
    """
    inputs = fingerprint(facts, features, labels, members, segments, known)
    origin = found.facts.inputs.get(CONTINUED, "") if found is not None else ""
    if found is not None and origin:
        differing = changes(found.facts.inputs, inputs | {CONTINUED: origin})
        if not differing:
            logger.info("%s: kept, it was continued from %s already", facts.spec.title, origin)
            return found
        if found.identity == champion.identity and not set(differing) - VERSIONS.keys():
            logger.warning(
                "%s: kept, though %s since it was continued from %s, which is champion no more; the next window goes "
                "on from it", facts.spec.title, " and ".join(f"{PARTS[part]} changed" for part in differing), origin,
            )  # fmt: skip
            return found
    _require_later_window(facts, champion)
    continued = replace(facts, inputs=inputs | {CONTINUED: champion.identity})
    return train_bundle(continued, features, labels, members, segments, previous=champion)


def _require_later_window(facts: BundleFacts, champion: ModelBundle) -> None:
    """Refuse a window that has nothing new, or whose validation the champion has learned."""
    learned, wanted = champion.facts.window, facts.window
    if learned["valid"][1] >= wanted["valid"][1]:
        raise ModelError(
            f"{facts.spec.title}: champion {champion.identity} has learned up to {learned['valid'][1]} already, and "
            f"the present window ends on {wanted['valid'][1]}: there is nothing newer. `kedro models plan` shows when "
            "the window moves; fixed dates of `split` (parameters_models.yml) never do"
        )
    if learned["train"][1] >= wanted["valid"][0]:
        raise ModelError(
            f"{facts.spec.title}: champion {champion.identity} was trained up to {learned['train'][1]}, so the "
            f"validation from {wanted['valid'][0]} on would measure what it has learned; train it again: "
            "kedro run --pipelines training"
        )


def _processors_of(previous: ModelBundle, facts: BundleFacts) -> ProcessorChain:
    former = previous.facts
    if former.spec.algorithm != facts.spec.algorithm or former.expressions != facts.expressions:
        raise ModelError(
            f"{facts.spec.title} cannot continue from {former.spec.title}: another algorithm or other factors; train "
            "it again"
        )
    if former.spec.processors != facts.spec.processors or former.label != facts.label:
        raise ModelError(
            f"{facts.spec.title} cannot continue from a bundle with other processors or another label; train it again"
        )
    return ProcessorChain(facts.spec.processors, previous.processor_states)


def _needed(panel: FeaturePanel, segments: dict[str, pd.DatetimeIndex], window: int) -> slice:
    """Return the sessions of the segments and those before that windows and golden inputs read."""
    rows = np.flatnonzero(in_span(panel.index, segments["train"][0], segments["valid"][-1]))
    return rows_of_windows(panel, rows, window + GOLDEN_SESSIONS_BEFORE + 1)


def _ranked(label: pd.Series) -> npt.NDArray[np.float32]:
    """Labels by their rank within the session: a model is paid for the order, not for the size of one jump."""
    return ProcessorChain([CrossSectionalRank()]).transform(label.to_frame("label"))["label"].to_numpy()


def _golden_inputs(known: PanelView, rows: npt.NDArray[np.int64], window: int) -> pd.DataFrame:
    days, codes = known.index.levels[0], known.index.codes[0]
    last = codes[rows[-1]]
    newest = known.index[rows[codes[rows] == last][:GOLDEN_INSTRUMENTS]].get_level_values("instrument")
    wanted_days = days[max(last - window - GOLDEN_SESSIONS_BEFORE, 0) : last + 1]
    is_newest = known.index.levels[1].isin(newest)[known.index.codes[1]]
    wanted = np.flatnonzero(in_sessions(known.index, wanted_days) & is_newest)
    return take_rows(known, wanted, list(known.columns))
