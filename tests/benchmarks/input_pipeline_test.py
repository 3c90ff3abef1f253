import numpy as np
import pytest

from benchmarks import input_pipeline


def test_every_pipeline_is_measured_on_its_own_files(tmp_path):
  input_pipeline.write_data_sets(tmp_path, 33)
  for name in input_pipeline.PIPELINES:
    assert input_pipeline.pipeline_rate(name, str(tmp_path), 0.01) > 0
  assert input_pipeline.decoder_rate(0.01) > 0


def test_rate_counts_calls_within_the_time(monkeypatch):
  clock = iter(np.arange(0.0, 100.0))
  monkeypatch.setattr(
    input_pipeline.time, "perf_counter", lambda: float(next(clock))
  )
  calls = []
  # A call a second, for three seconds, behind those that are not counted.
  assert input_pipeline._rate(lambda: calls.append(1), 3.0) == pytest.approx(
    2 / 3
  )
  assert len(calls) == 3 + 2


def test_table_sets_the_pipelines_beside_the_decoder():
  rates = {(input_pipeline.DECODER, 1): 200.0}
  for index, name in enumerate(input_pipeline.PIPELINES):
    for number in (1, 2):
      rates[name, number] = 150.0 * number * (index + 1)
  lines = input_pipeline.make_table(rates).splitlines()
  assert len({line.count("|") for line in lines}) == 1
  assert lines[2].startswith("| JPEG decoder, one thread | 200 |")
  assert lines[3] == "| digits | 150 | 300 | 2.00 |  |"
  assert lines[5] == "| imagenet | 450 | 900 | 2.00 | 2.25 |"
