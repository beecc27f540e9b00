"""How many examples a property is tried on: `make test-all` tries many, the gate fewer, and other ones every time."""

from hypothesis import HealthCheck, settings

THOROUGH, GATE, FEW = "thorough", "gate", "few"
_EXAMPLES = {THOROUGH: 100, GATE: 25, FEW: 10}


def register_profiles() -> None:
    """Make the profiles known to ``--hypothesis-profile``, and begin with that of the gate."""
    for name, number in _EXAMPLES.items():
        # Examples may take as long as a loaded machine needs.
        settings.register_profile(
            name, max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
    settings.load_profile(GATE)


def examples(thorough: int) -> int:
    """Return how many examples the profile in force tries of a property that the thorough one tries this often."""
    return max(thorough * settings().max_examples // _EXAMPLES[THOROUGH], 5)
