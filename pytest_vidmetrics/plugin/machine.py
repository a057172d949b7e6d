"""What a run says about the machine: versions and hardware (`core.environment`), and what the project's hook adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vidmetrics.core.environment import software
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import shown

if TYPE_CHECKING:
    from _pytest.config import Config


def environment(config: Config) -> dict[str, str]:
    """Return what a baseline says about the machine, for information only. Names no host and no user.

    Raises ``VidmetricsError`` for a hook that raises, or that leaves anything but texts.
    """
    facts = software()
    try:
        config.hook.pytest_vidmetrics_update_environment(config=config, environment=facts)
    except Exception as error:
        raise VidmetricsError(f"the hook pytest_vidmetrics_update_environment raised {shown(error)}") from error
    for key, value in facts.items():
        if type(key) is not str or type(value) is not str:
            raise VidmetricsError(
                f"the hook pytest_vidmetrics_update_environment set {shown(key)} to {shown(value)}: expected texts"
            )
    return facts
