import dataclasses

from benchmarks import decoupled_memory
from trainers.synthetic_gradients.config import PRESETS


def test_steps_are_measured_with_the_trainers_learner(eagerly):
  config = dataclasses.replace(
    PRESETS["smoke_imagenet"],
    width=0.07,
    image_size=32,
    num_modules=1,
    method="critic",
  )
  row = decoupled_memory.measure(config, 1)
  assert row["peak"] >= row["base"] > 10**8
  assert row["seconds"] > 0


def test_backpropagation_is_one_case():
  found = list(decoupled_memory.cases("backprop,critic", "1,3"))
  assert found == [("backprop", 0), ("critic", 1), ("critic", 3)]
  assert len(list(decoupled_memory.cases("all", "1"))) == 8


def test_table_shows_what_the_steps_add():
  row = {"base": 10**9, "peak": 3 * 10**9, "seconds": 0.8}
  table = decoupled_memory.make_table({("critic", 3): row}, 4)
  assert table.splitlines()[-1] == "| critic | 3 | 3.00 | 2.00 | 200 |"
