"""A C library in the place of this machine's, which says what it was asked for."""

from types import SimpleNamespace

from quant_pipeline.common import allocation


def take_library(monkeypatch, free=0):
    """Let this process have a library with some bytes free, of which nothing is asked yet; return what it is asked."""
    asked = []
    library = SimpleNamespace(
        mallopt=lambda *setting: asked.append(setting) or 1,
        mallinfo2=lambda: SimpleNamespace(free=free),
        malloc_trim=lambda kept: asked.append("malloc_trim"),
    )
    monkeypatch.setattr(allocation, "_keeping", [])
    monkeypatch.setattr(allocation, "_has_own_settings", lambda: False)
    monkeypatch.setattr(allocation, "_gnu_library", lambda: library)
    return asked
