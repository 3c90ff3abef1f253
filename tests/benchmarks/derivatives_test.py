"""What the benchmark compares is the same, and its lines say what was timed."""

import numpy as np

from benchmarks import derivatives as benchmark


def test_candidates_of_one_table_compute_the_same():
  made = benchmark.our_candidates(inputs=2, outputs=1, points=4, order=2)
  for first, second in (
    ("jet", "nested tapes"),
    ("auto", "forward"),
    ("laplacian", "trace of the Hessian"),
    ("laplacian", "jets of all inputs"),
  ):
    results = [made[name][1]() for name in (first, second)]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


def test_ratios_are_against_the_plain_step_of_the_same_library():
  times = {
    ("sobolev_tf", "value"): 100,
    ("sobolev_tf", "jet"): 250,
    ("JAX", "value"): 50,
    ("JAX", "jet"): 200,
  }
  ours, theirs = benchmark.make_line("K = 1", "2", times)
  assert ours == "| K = 1 | sobolev_tf | 100 | 2 | jet 250 µs = 2.50 |"
  assert theirs.endswith("jet 200 µs = 4.00 |")
