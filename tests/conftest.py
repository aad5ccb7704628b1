"""What holds for all tests."""

import gc

from hypothesis import HealthCheck, settings

# on a busy machine an example may take any time
settings.register_profile("any time", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any time")


def pytest_collection() -> None:
    gc.disable()  # it would look for garbage among thousands of tests that all stay


def pytest_collection_finish() -> None:
    gc.enable()
