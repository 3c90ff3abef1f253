r"""Attacks the trainers and the library, and counts what became of each case.

    ./scripts/attack.sh [--kills=60] [--damages=300] [--commands=300] \
        [--calls=300] [--files=20] [--seed=0] [--output=results/benchmarks]

- kills: a trainer, or a cluster's member or all of them, is killed at a random
  moment and started again until it is done;
- damages: one file of a run, a recording or a policy changes;
- commands: command lines with one value that means nothing;
- calls: the library's functions with one argument that cannot be meant;
- files: weights and recordings made to run code or to fill the memory.

A case is *right* (the undisturbed result), *clear* (a sentence says what is
wrong), *silent* (another result without a word), *traceback* or *hang*. Exit
code 1 if a case is one of the last three; each of those is listed.
"""

import collections
import random
import sys
import tempfile
import time

import trainers  # noqa: F401, its import of TensorFlow is a quiet one
from benchmarks import timing
from tests.attack import (
  command_lines,
  commands,
  damages,
  hostile_files,
  judged,
  kills,
  library_calls,
)

KINDS = {
  "kills": (60, kills.attack),
  "damages": (300, damages.attack),
  "commands": (300, command_lines.attack),
  "calls": (300, library_calls.attack),
  "files": (20, hostile_files.attack),
}


def attack(counts, seed, say=print):
  """Plays the cases; returns a dict of lists of `judged.Case` by kind."""
  cases = collections.defaultdict(list)
  with tempfile.TemporaryDirectory(prefix="attack_") as folder:
    material = commands.Material(folder)
    if any(counts[kind] for kind in ("kills", "damages", "commands", "files")):
      answer = judged.Fork(material.make).answer(300)
      if answer.code != 0:
        raise RuntimeError(f"no recording: {answer.words[-1000:]}")
    for kind, (_, play) in KINDS.items():
      if not counts[kind]:
        continue
      # Each kind's cases hang on the seed alone, not on the other kinds.
      rng = random.Random(f"{seed} {kind}")
      with tempfile.TemporaryDirectory(prefix=kind, dir=folder) as place:
        for case in play(counts[kind], rng, place, material):
          cases[kind].append(case)
          if case.verdict in judged.BAD:
            last = (case.words.strip().splitlines() or ["no word"])[-1]
            say(f"{kind}: {case.about}: {case.verdict}: {last[:200]}")
  return cases


def make_table(cases):
  """The counts, as Markdown."""
  verdicts = (*judged.GOOD, *judged.BAD)
  lines = [
    f"| kind | cases | {' | '.join(verdicts)} |",
    "|---" * (2 + len(verdicts)) + "|",
  ]
  for kind, found in cases.items():
    counts = " | ".join(str(count) for count in judged.tally(found))
    lines.append(f"| {kind} | {len(found)} | {counts} |")
  bad = [
    f"- {kind}: {case.about}: {case.verdict}"
    for kind, found in cases.items()
    for case in found
    if case.verdict in judged.BAD
  ]
  if bad:
    lines += ["", "What went wrong:", "", *bad]
  return "\n".join(lines)


def main():
  """Attacks as the command line says; returns the exit code."""
  parser = timing.build_parser("attack", __doc__)
  for kind, (count, _) in KINDS.items():
    parser.add_argument(f"--{kind}", type=int, default=count)
  parser.add_argument("--seed", type=int, default=0)
  given = parser.parse_args()
  counts = {kind: getattr(given, kind) for kind in KINDS}
  begun = time.monotonic()
  cases = attack(counts, given.seed, lambda line: print(line, flush=True))
  flags = " ".join(f"--{kind}={count}" for kind, count in counts.items())
  text = (
    f"`./scripts/attack.sh {flags} --seed={given.seed}` on {timing.machine()}, "
    f"{(time.monotonic() - begun) / 60:.0f} minutes.\n\n{make_table(cases)}\n"
  )
  timing.publish(text, given.output, "attack")
  found = [case.verdict for kind in cases.values() for case in kind]
  return int(any(verdict in judged.BAD for verdict in found))


if __name__ == "__main__":
  sys.exit(main())
