"""For all tests: how hypothesis runs, and an environment without settings of the one who runs them."""

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline: how long an example takes says more about the machine's other work than about the code.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """A DEALPULSE_ variable of the shell would change what commands under test do."""
    for name in [name for name in os.environ if name.startswith("DEALPULSE_") and "REQUIRE" not in name]:
        del os.environ[name]
