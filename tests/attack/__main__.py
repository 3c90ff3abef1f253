r"""Attacks the trainers and the library, and counts what became of each case.

    ./scripts/attack.sh [--kills=60] [--damages=300] [--places=60] \
        [--commands=300] [--calls=600] [--files=20] [--clusters=0] [--seed=0] \
        [--results=FILE] [--output=results/benchmarks]

- kills: a trainer is killed twice at a random moment, and started again until
  it is done; clusters: one member, or all of them;
- damages: one file of a run, a recording or a policy changes;
- places: a folder, a pipe, a device or a looping link stands in its place;
- commands: command lines with one value that means nothing;
- calls: the library's functions with one argument that cannot be meant;
- files: weights and recordings made to run code or to fill the memory.

A case is *right* (the undisturbed result), *clear* (a sentence says what is
wrong), *silent* (another result without a word), *traceback* or *hang*. Exit
code 1 if a case is one of the last three; each of those is listed. With
--results every case is kept in a file, and the same command goes on where it
was stopped; it plays those again that were bad.
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
  "places": (60, damages.attack_places),
  "commands": (300, command_lines.attack),
  "calls": (600, library_calls.attack),
  "files": (20, hostile_files.attack),
}


def attack(counts, seed, path=None, say=print):
  """Plays the cases.

  Args:
    counts: dict from a kind to the number of its cases.
    seed: fixes what they are.
    path: file that keeps them; of those that it has, only what was bad is
      played again.
    say: called with a sentence for each bad case.

  Returns:
    dict from a kind to its list of `judged.Case`.
  """
  cases = _read(path, seed)
  with tempfile.TemporaryDirectory(prefix="attack_") as folder:
    material = commands.Material(folder)
    if any(_missing(counts[kind], cases[kind]) for kind in KINDS):
      answer = judged.Fork(material.make).answer(600)
      if answer.code != 0:
        raise RuntimeError(f"no recording: {answer.words[-1000:]}")
    for kind, (_, play) in KINDS.items():
      for first, last in _missing(counts[kind], cases[kind]):
        # Each kind's cases hang on the seed alone, not on the other kinds.
        rng = random.Random(f"{seed} {kind}")
        with tempfile.TemporaryDirectory(prefix=kind, dir=folder) as place:
          found = play(counts[kind], rng, place, material, first)
          numbered = zip(range(first, last), found, strict=False)
          for number, case in numbered:
            cases[kind][number] = case
            _keep(path, seed, kind, number, case)
            if case.verdict in judged.BAD:
              last_words = (case.words.strip().splitlines() or ["no word"])[-1]
              say(f"{kind}: {case.about}: {case.verdict}: {last_words[:200]}")
  return {
    kind: [case for _, case in sorted(cases[kind].items())]
    for kind in KINDS
    if cases[kind]
  }


def _missing(count, known):
  """Pairs of numbers (first, last + 1): of cases that are bad, and to come."""
  bad = [
    (number, number + 1)
    for number, case in sorted(known.items())
    if case.verdict in judged.BAD and number < count
  ]
  return bad + ([(len(known), count)] if len(known) < count else [])


def _read(path, seed):
  """dict from a kind to a dict from a case's number to the case."""
  cases = collections.defaultdict(dict)
  if path and os.path.exists(path):
    with open(path, encoding="utf-8") as file:
      for line in file:
        own, kind, number, *case = json.loads(line)
        if own == seed:
          cases[kind][number] = judged.Case(*case)
  return cases


def _keep(path, seed, kind, number, case):
  if path:
    with open(path, "a", encoding="utf-8") as file:
      kept = case._replace(words=case.words[-2000:])
      file.write(json.dumps([seed, kind, number, *kept]) + "\n")


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
  parser.prog = "python -m tests.attack"
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
