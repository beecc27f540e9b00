"""Follow what changes while the process lives: a champion is verified, and so is a configuration before it is used.

Both are looked at by a command of its own, between tasks: whatever is wrong with them, the process lives on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.live import journal as lines
from quant_pipeline.live.changes import Champion, ChampionFiles, ConfigurationFiles, changed
from quant_pipeline.live.commands import Ran
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic

if TYPE_CHECKING:
    from quant_pipeline.live.process import Reach

PAUSE = 1.0
"""Seconds between two looks."""
PATIENCE = 600.0
"""Seconds that a command may take to look at a change."""


class Follower:
    """Looks at changes between tasks.

    Parameters
    ----------
    account
        Name of the account.
    reach
        What the process reaches the world by.
    champions, configuration
        What changes; without a configuration the process never asks to be started again.
    tick
        Keeps the process alive while a command looks; see `quant_pipeline.live.commands.Running.wait`.
    """

    def __init__(
        self,
        account: str,
        reach: Reach,
        champions: ChampionFiles,
        configuration: ConfigurationFiles | None,
        tick: Callable[[], bool],
    ) -> None:
        self._account, self._reach, self._tick = account, reach, tick
        self._champions, self._configuration = champions, configuration
        known = reach.journal.state.champions
        # A champion that was verified before this process began is looked at again only when its files change.
        self._known = {name: seen for name, seen in champions.read().items() if known.get(name) == seen.identity}
        self._looked_at = 0.0

    def follow(self, now: pd.Timestamp) -> bool:
        """Verify what has changed; return whether the process should begin again with another configuration."""
        if time.monotonic() - self._looked_at < PAUSE:
            return False
        self._follow_champions(now)
        wants_restart = self._configuration is not None and self._configuration.have_changed()
        wants_restart = wants_restart and self._is_usable(now)
        self._looked_at = time.monotonic()
        return wants_restart

    def _follow_champions(self, now: pd.Timestamp) -> None:
        found = changed(self._champions.read(), self._known)
        # One command reads them all; only when one is damaged each has to say which it is.
        together = self._ask("verify-champions", ("models", "verify", *found)) if len(found) > 1 else None
        for model, champion in found.items():
            is_sound = together is not None and together.status == 0
            ran = together if is_sound else self._ask(f"verify-{model}", ("models", "verify", model))
            assert ran is not None
            if not self._tick():
                return  # It was ended, because the process ends, before it could say anything.
            self._record(model, champion, ran, now)
            self._known[model] = champion

    def _record(self, model: str, champion: Champion, ran: Ran, now: pd.Timestamp) -> None:
        """Record who scores from now on, or that a champion cannot be used; the event names the old and the new one."""
        old, new, is_sound = self._reach.journal.state.champions.get(model), champion.identity, ran.status == 0
        if is_sound and old == new:
            return
        result = lines.DONE if is_sound else lines.FAILED
        self._reach.journal.append(now, lines.CHAMPION, model=model, old=old, new=new, result=result)
        if not is_sound:
            title = f"{self._account}: champion {new} of {model} cannot be used"
            remedy = "The daily run refuses it too: `kedro models rollback` brings back the one before."
            self._tell(Level.ALERT, title, f"{ran.last_lines}\n{remedy}")
        elif old is not None:
            title = f"{self._account}: champion {new} of {model} takes the place of {old}"
            self._tell(Level.INFO, title, "It was verified; the next daily run scores with it.")

    def _is_usable(self, now: pd.Timestamp) -> bool:
        ran = self._ask("configuration", ("live", "--check-configuration"))
        is_usable = ran.status == 0
        result = lines.DONE if is_usable else lines.FAILED
        self._reach.journal.append(now, lines.CONFIGURATION, result=result)
        if is_usable:
            self._tell(
                Level.INFO, f"{self._account}: the configuration has changed", "The process begins again with it."
            )
        else:
            title = f"{self._account}: the changed configuration cannot be used"
            self._tell(Level.ALERT, title, f"{ran.last_lines}\nThe process lives on; the next command will fail.")
        return is_usable

    def _ask(self, name: str, words: tuple[str, ...]) -> Ran:
        return self._reach.commands.begin(name, words).wait(self._tick, PATIENCE)

    def _tell(self, level: Level, title: str, text: str) -> None:
        topic = Topic.PROCESS if level is Level.INFO else Topic.ALERTS
        self._reach.messages.send(Message(topic, level, title, text))
