"""Fair timing: candidates take turns, and the median of the rounds counts."""

import argparse
import os
import statistics
import time

import numpy as np

_PAUSE = 0.3  # seconds


def interleaved(candidates, rounds=15, clock=time.perf_counter):
  """Times candidates in turns, so that a slow moment hits all of them.

  Before each measurement comes a pause, in which the threads of the candidate
  before go to sleep (some spin for a while), and a call that is not counted.

  Args:
    candidates: dict from a name to (callable without arguments, units of work
      that one call does); a call must not return before its work is done.
    rounds: how often each is called.
    clock: of seconds; `time.process_time` counts the processor's alone, which
      is what is left to compare on a busy machine.

  Returns:
    dict from a name to the median microseconds per unit of work.
  """
  for call, _ in candidates.values():
    call()  # compile, allocate, fill caches
  times = {name: [] for name in candidates}
  for _ in range(rounds):
    for name, (call, units) in candidates.items():
      time.sleep(_PAUSE)
      call()
      start = clock()
      call()
      times[name].append((clock() - start) / units * 1e6)
  return {name: statistics.median(values) for name, values in times.items()}


def sgemm_gflops(size=2048, rounds=7):
  """The machine's rate of single-precision matrix products, in GFLOP/s."""
  a = np.ones([size, size], np.float32)
  product = np.empty_like(a)
  rate = interleaved(
    {"sgemm": (lambda: np.matmul(a, a, out=product), 1)}, rounds
  )
  return 2 * size**3 / rate["sgemm"] / 1e3


def machine():
  """One line about the machine."""
  with open("/proc/cpuinfo", encoding="utf-8") as file:
    models = [line for line in file if line.startswith("model name")]
  model = models[0].split(":")[1].strip() if models else "unknown processor"
  return f"{len(os.sched_getaffinity(0))} cores of {model}"


def build_parser(name, description):
  """A command line for a benchmark, with --output; see `publish`."""
  parser = argparse.ArgumentParser(
    prog=f"python -m benchmarks.{name}",
    description=description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--output", help=f"folder for {name}.md; without it the text is printed"
  )
  return parser


def publish(text, output, name):
  """Prints a benchmark's text, and writes it into a folder if one is given."""
  print(text)
  if output:
    os.makedirs(output, exist_ok=True)
    path = os.path.join(output, f"{name}.md")
    with open(path, "w", encoding="utf-8") as file:
      file.write(text)
