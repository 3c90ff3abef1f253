r"""Attacks the trainers and the library, and counts what became of each case.

    ./scripts/attack.sh [--kills=60] [--damages=300] [--commands=300] \
        [--calls=500] [--files=20] [--clusters=0] [--seed=0] \
        [--results=FILE] [--output=results/benchmarks]

- kills: a trainer is killed twice at a random moment, and started again until
  it is done; clusters: one member, or all of them;
- damages: one file of a run, a recording or a policy changes;
- commands: command lines with one value that means nothing;
- calls: the library's functions with one argument that cannot be meant;
- files: weights and recordings made to run code or to fill the memory.

A case is *right* (the undisturbed result), *clear* (a sentence says what is
wrong), *silent* (another result without a word), *traceback* or *hang*. Exit
code 1 if a case is one of the last three; each of those is listed. With
--results every case is kept in a file, and the same command goes on where it
was stopped.
"""

import collections
import json
import os
import random
import sys
import tempfile

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
  "clusters": (0, kills.attack_clusters),
  "damages": (300, damages.attack),
  "commands": (300, command_lines.attack),
  "calls": (500, library_calls.attack),
  "files": (20, hostile_files.attack),
}


def attack(counts, seed, path=None, say=print):
  """Plays the cases.

  Args:
    counts: dict from a kind to the number of its cases.
    seed: fixes what they are.
    path: file that keeps them; those that it has are not played again.
    say: called with a sentence for each bad case.

  Returns:
    dict from a kind to its list of `judged.Case`.
  """
  cases = _read(path, seed)
  with tempfile.TemporaryDirectory(prefix="attack_") as folder:
    material = commands.Material(folder)
    if any(
      counts[kind] > len(cases[kind]) for kind in KINDS if kind != "calls"
    ):
      answer = judged.Fork(material.make).answer(600)
      if answer.code != 0:
        raise RuntimeError(f"no recording: {answer.words[-1000:]}")
    for kind, (_, play) in KINDS.items():
      first, count = len(cases[kind]), counts[kind]
      if first >= count:
        continue
      # Each kind's cases hang on the seed alone, not on the other kinds.
      rng = random.Random(f"{seed} {kind}")
      with tempfile.TemporaryDirectory(prefix=kind, dir=folder) as place:
        for case in play(count, rng, place, material, first):
          cases[kind].append(case)
          _keep(path, seed, kind, case)
          if case.verdict in judged.BAD:
            last = (case.words.strip().splitlines() or ["no word"])[-1]
            say(f"{kind}: {case.about}: {case.verdict}: {last[:200]}")
  return {kind: cases[kind] for kind in KINDS if cases[kind]}


def _read(path, seed):
  cases = collections.defaultdict(list)
  if path and os.path.exists(path):
    with open(path, encoding="utf-8") as file:
      for line in file:
        own, kind, *case = json.loads(line)
        if own == seed:
          cases[kind].append(judged.Case(*case))
  return cases


def _keep(path, seed, kind, case):
  if path:
    with open(path, "a", encoding="utf-8") as file:
      kept = case._replace(words=case.words[-2000:])
      file.write(json.dumps([seed, kind, *kept]) + "\n")


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
  parser.add_argument("--results", default=None)
  given = parser.parse_args()
  counts = {kind: getattr(given, kind) for kind in KINDS}
  cases = attack(
    counts, given.seed, given.results, lambda line: print(line, flush=True)
  )
  flags = " ".join(f"--{kind}={count}" for kind, count in counts.items())
  text = (
    f"`./scripts/attack.sh {flags} --seed={given.seed}` on "
    f"{timing.machine()}.\n\n{make_table(cases)}\n"
  )
  timing.publish(text, given.output, "attack")
  found = [case.verdict for kind in cases.values() for case in kind]
  return int(any(verdict in judged.BAD for verdict in found))


if __name__ == "__main__":
  sys.exit(main())
