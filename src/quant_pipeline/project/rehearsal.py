"""Folders of their own for rehearsals: what a fake broker says never meets an account or a market that is real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from quant_pipeline.common.environments import REHEARSAL
from quant_pipeline.common.loopback import LOOPBACK, is_loopback
from quant_pipeline.project.unresolved import plain, unresolved

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader

DATASETS = {"market": ("market_source",), "account": ("market_source", "trading_desk")}
"""What is invented as soon as one of these datasets of the catalog has a loopback address."""


def set_apart(loader: ProjectConfigLoader, settings: dict[str, Any]) -> dict[str, Any]:
    """Return `globals` with names and folders of a rehearsal, where the broker or the market is one of this machine.

    Parameters
    ----------
    loader
        The configuration that is being read; ``url`` in ``parameters`` of its desk and its market source decides.
    settings
        Its globals as the files say them.

    Returns
    -------
    dict
        The same for a real account. In a rehearsal ``account`` and ``market`` end in ``-rehearsal``, and their folders
        in ``-rehearsal-`` and the port: another server invents other prices.
    """
    texts = [text.lower() for text in (str(loader.runtime_params), *loader.texts())]
    if not any(host in text for host in LOOPBACK for text in texts):
        # Parsing the catalog once more takes every command a moment.
        return settings
    catalog = unresolved(loader, "catalog")
    for kind, datasets in DATASETS.items():
        addresses = [address for name in datasets if (address := _loopback(loader, catalog.get(name))) is not None]
        paths = settings.get("paths") or {}
        if addresses and kind in paths:
            folder = folder_of(str(paths[kind]).rstrip("/"), addresses[0])
            settings = settings | {kind: f"{settings.get(kind, kind)}-{REHEARSAL}", "paths": paths | {kind: folder}}
    return settings


def folder_of(folder: str, address: object) -> str:
    """Return the folder that a rehearsal at an address has in the place of another one; any other address has none."""
    return f"{folder}-{REHEARSAL}-{_port(address)}" if isinstance(address, str) and is_loopback(address) else folder


def _loopback(loader: ProjectConfigLoader, entry: Any) -> str | None:
    parameters = entry.get("parameters") if isinstance(entry, dict) else None
    url = plain(loader, parameters.get("url")) if isinstance(parameters, dict) else None
    return url if isinstance(url, str) and is_loopback(url) else None


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
