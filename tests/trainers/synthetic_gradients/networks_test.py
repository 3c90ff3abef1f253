"""What Table 1's configurations are made of."""

import numpy as np
import pytest

from trainers.synthetic_gradients import networks
from trainers.synthetic_gradients import train as synthetic_gradients


@pytest.mark.parametrize(
  ("preset", "drops"),
  [
    ("paper", (40_000, 60_000, 80_000)),  # SM §4.2
    ("paper_imagenet", (100_000, 150_000, 175_000)),  # SM §4.3
  ],
)
def test_learning_rate_falls_right_after_the_papers_updates(preset, drops):
  schedule = networks.build_schedule(synthetic_gradients.PRESETS[preset])
  # The schedule is asked how many updates have been made before this one.
  before = [schedule(0), *(schedule(drop - 1) for drop in drops)]
  after = [schedule(drop) for drop in drops]
  np.testing.assert_allclose(before, [0.1, 0.1, 1e-2, 1e-3], rtol=1e-6)
  np.testing.assert_allclose(after, [1e-2, 1e-3, 1e-4], rtol=1e-6)
