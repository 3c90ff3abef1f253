import pytest


@pytest.fixture(scope="module")
def short_games():
  """Cuts games after a hundred steps; a greedy policy can go on for ever."""
  from trainers.teachers import scores  # here, since few tests play

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(scores, "_MAX_EPISODE_FRAMES", 400)
    yield
