"""The model of throughput at its corners, and the bytes of Table 1."""

import dataclasses

import numpy as np
import pytest

from benchmarks import parameter_server
from benchmarks import parameter_server_model as model
from tests.acceptance import cluster_faults
from trainers.synthetic_gradients.config import PRESETS

LOAD = model.Load((100e6, 25e6), (100e6, 25e6), 1e9)
FAST = model.Machine(1, 1, 1e9, 1e12, 0.0)


def test_arithmetic_alone_is_the_limit_of_free_networks():
  for workers in (1, 10):
    found = model.rates(LOAD, dataclasses.replace(FAST, workers=workers))
    assert found["async"][0] == pytest.approx(workers / 2e-3, rel=1e-3)
  assert found["async"][1] == "workers"


def test_the_fullest_server_is_the_limit_of_many_workers():
  slow = model.Machine(1000, 1, 1.0, 1e15, 0.0)
  # 125 MB each way at 125 MB/s: one share a second passes a server's link.
  assert model.rates(LOAD, slow)["async"] == pytest.approx(
    (1.0, "server links")
  )
  two = dataclasses.replace(slow, servers=2)
  assert model.rates(LOAD, two)["async"][0] == pytest.approx(1.25)
  # In rounds nobody reads while others write.
  assert model.rates(LOAD, slow)["sync"][0] == pytest.approx(0.5, rel=1e-2)


def test_a_worker_alone_is_as_fast_either_way_but_for_applying():
  found = model.rates(LOAD, dataclasses.replace(FAST, gigabits=10.0))
  apply = 125e6 / model._APPLY_BYTES_PER_SECOND
  seconds = 2e-3 + 2 * 125e6 / 1.25e9
  np.testing.assert_allclose(1 / found["async"][0], seconds)
  np.testing.assert_allclose(1 / found["sync"][0], seconds + apply)


def test_servers_needed_are_the_fewest_that_reach_the_share():
  machine = model.Machine(8, 1, 10.0, 1e11, 0.0)
  load = model.Load((1e6,) * 64, (1e6,) * 64, 1e9)
  for kind, count in model.servers_needed(load, machine).items():
    many = dataclasses.replace(machine, servers=64)
    wanted = 0.9 * model.rates(load, many)[kind][0]
    for servers, enough in ((count, True), (count - 1, False)):
      if servers:
        found = dataclasses.replace(machine, servers=servers)
        assert (model.rates(load, found)[kind][0] >= wanted) == enough


def test_what_to_ask_for_is_what_the_model_says():
  load = model.Load((50e6,) * 8, (50e6,) * 8, 1e9)
  text = model.make_requests({"run": (load, 4)}, 1e12, 0.0, gigabits=8)
  machine = model.Machine(4, 1, 8, 1e12, 0.0)
  for kind, servers in model.servers_needed(load, machine).items():
    found = dataclasses.replace(machine, servers=servers)
    rate = model.rates(load, found)[kind][0]
    held = 50 * -(-8 // servers)  # MB of the fullest server
    bits = f"{8e-3 * rate * 400 / 4:.1f} / {8e-3 * rate * held:.1f}"
    row = f"| run | 4 | {kind} | {servers} | {4 * held} | {bits} | {rate:.0f} |"
    assert row in text


def test_bytes_are_counted_from_the_papers_network():
  config = dataclasses.replace(PRESETS["paper"], method="backprop")
  load = model.build_load(config, (32, 32, 3), 10)
  # Convolutions, BatchNorm (four numbers a channel) and the linear layer.
  channels = [64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512]
  weights = 512 * 10 + 10
  for below, above in zip([3, *channels], channels, strict=False):
    weights += 9 * below * above + 4 * above
  assert sum(load.read) == 4 * weights
  assert round(load.multiply_adds / 32 / 3 / 1e6) == 323


def test_prediction_stops_at_the_cores():
  alone = {"seconds": 0.1, "core_seconds": 0.08}
  assert parameter_server.predict(alone, 1, 2) == pytest.approx(10)
  assert parameter_server.predict(alone, 2, 2) == pytest.approx(20)
  assert parameter_server.predict(alone, 4, 2) == pytest.approx(25)


def test_tables_have_a_row_for_everything():
  assert model.make_table({"a": (LOAD, 4)}, 1e12, 0.01).count("\n") == 2 + 6
  one = {"seconds": 0.1, "bytes": 1e6, "core_seconds": 0.1}
  measured = {
    n: {"sync": one, "async": one, "traffic": (1, 1), "parts": {"read": 1.0}}
    for n in (1, 2)
  }
  table = parameter_server.make_tables(measured, {1: 0.1, 2: 0.2}, 2)
  assert table.count("| sync |") == 2 and "read 1.0 ms" in table


def test_scenarios_are_judged_beside_runs_without_faults():
  good = cluster_faults.Outcome(0, 9.0, 1, 4.0, 5.0, "", 0.5, (1, 0), 3, [])
  refused = dataclasses.replace(good, code=2, words="error: no", accuracy=None)
  outcomes = {
    "plain_0": good,
    "plain_1": dataclasses.replace(good, accuracy=0.6),
    "chief_killed": dataclasses.replace(good, left=["port 7"]),
    "worker_late": dataclasses.replace(good, accuracy=0.4),
    "server_killed": dataclasses.replace(good, steps_lost=101, silence=61.0),
    "disk_full": dataclasses.replace(good, code=1),
    "wrong_arguments": refused,
    "port_in_use": dataclasses.replace(refused, words=""),
  }
  assert cluster_faults.judge(outcomes) == {
    "plain_0": [],
    "plain_1": [],
    "chief_killed": ["something is left over"],
    "worker_late": ["its accuracy is too low"],
    "server_killed": ["silence", "too many steps were made again"],
    "disk_full": ["it did not finish"],
    "wrong_arguments": [],
    "port_in_use": ["it was not refused with a sentence"],
  }
  table = cluster_faults.make_table(outcomes)
  assert "| 1 / 0 | 50.0% | port 7 |" in table
  assert "| wrong arguments | yes | code 2: error: no |" in table
