"""``fastvideo.eval.datasets.physics_iq``: the scenarios of Physics-IQ."""

from __future__ import annotations

from pytest_vidmetrics.datasets.physics_iq import PhysicsIQPromptDataset as PhysicsIQPromptDataset
from pytest_vidmetrics.datasets.physics_iq import PhysicsIQScenario as PhysicsIQScenario
