"""Which ports of a cluster can be reached from another host, and since when.

    ./scripts/namespaces.sh --ports [--output=DIR]

A host on the same switch tries every port of a machine, and the declared ones
after each hundred of the others, from before the members start until they have
trained for a while.
"""

import argparse
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from benchmarks import timing
from tests.acceptance import namespaces

_AT_ONCE = 100  # ports that are tried together
_PORT = 2200
_MEMBERS = 3  # a chief, a server and a worker
_TRAINING = (
  "--preset=smoke",
  "--dataset=digits",
  "--method=sobolev",
  "--num_modules=1",
  "--width=0.1",
  "--num_steps=4",
  "--num_test=20",
)
# Name in the table, and the supervisor's flags.
CASES = {
  "a network of its own (default)": (),
  "loopback of the machine (--port)": (f"--port={_PORT}",),
}


def reachable(address, ports, seconds):
  """Which of some ports accept a connection within a moment."""
  with selectors.DefaultSelector() as selector:
    for port in ports:
      one = socket.socket()
      one.setblocking(False)
      one.connect_ex((address, port))
      selector.register(one, selectors.EVENT_WRITE, port)
    found, deadline = set(), time.monotonic() + seconds
    while selector.get_map() and time.monotonic() < deadline:
      for key, _ in selector.select(seconds):
        if not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
          found.add(key.data)
        selector.unregister(key.fileobj)
        key.fileobj.close()
    for key in list(selector.get_map().values()):
      key.fileobj.close()
  return found


def probe(address, often):
  """Tries all ports until the standard input closes.

  Args:
    address: of the machine.
    often: ports that are tried again and again.

  Returns:
    dict from a port that was ever reached to (first, last, times), in seconds
    of `time.time`, and "sweeps", how often all ports were tried.
  """
  found, sweeps = {}, 0
  os.set_blocking(0, False)
  while True:
    for first in range(1, 65536, _AT_ONCE):
      batch = range(first, min(first + _AT_ONCE, 65536))
      now = time.time()
      for port in reachable(address, {*batch, *often}, 0.2):
        begin, _, times = found.get(port, (now, now, 0))
        found[port] = (begin, now, times + 1)
      if _is_closed():
        return {"ports": found, "sweeps": sweeps + first / 65535}
    sweeps += 1


def _is_closed():
  try:
    return not os.read(0, 1)
  except BlockingIOError:
    return False


def watch(own, folder):
  """Runs a small cluster while another host probes its machine.

  Args:
    own: flags of the supervisor.
    folder: for the run.

  Returns:
    What `probe` returns, and "serving", how many members came to serve.
  """
  declared = list(range(_PORT, _PORT + _MEMBERS))
  with namespaces.Network(["machine", "outside"], f"p{os.getpid()}") as network:
    prober = subprocess.Popen(
      [*network.launcher("outside"), sys.executable, "-m"]
      + ["tests.acceptance.open_ports", "--probe", network.addresses["machine"]]
      + [json.dumps(declared)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    time.sleep(2)
    cluster = subprocess.run(
      [*network.launcher("machine"), sys.executable, "-m"]
      + ["trainers.parameter_server.local_cluster", "--workers=1", *own, "--"]
      + [*_TRAINING, f"--workdir={folder}"],
      capture_output=True,
      text=True,
      check=False,
    )
    if cluster.returncode:
      raise RuntimeError(f"the cluster failed: {cluster.stdout[-500:]}")
    output, _ = prober.communicate()  # closes its standard input
  return json.loads(output)


def make_table(found):
  """Renders what `watch` returned, by the name of the case, as Markdown."""
  lines = [
    "| the ports are in | ports of other programs | ports of the cluster that "
    "were reached | for | sweeps of all 65,535 ports |",
    "|---|---|---|---|---|",
  ]
  for name, one in found.items():
    ports = {int(port): times for port, times in one["ports"].items()}
    declared = {p: t for p, t in ports.items() if 0 <= p - _PORT < _MEMBERS}
    longest = max(
      (last - first for first, last, _ in declared.values()), default=0
    )
    moment = f"{1e3 * longest:.0f} ms" if declared else ""
    lines.append(
      f"| {name} | {len(ports) - len(declared)} "
      f"| {len(declared)} of {_MEMBERS} | {moment} "
      f"| {one['sweeps']:.1f} |"
    )
  return "\n".join(lines) + "\n"


def main():
  """Probes, prints the table; or is the prober of another process."""
  parser = timing.build_parser("open_ports", __doc__)
  parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.probe:
    address, often = given.probe
    print(json.dumps(probe(address, json.loads(often))))
    return
  found = {}
  for name, own in CASES.items():
    folder = tempfile.mkdtemp(prefix="open_ports_")
    found[name] = watch(own, folder)
    shutil.rmtree(folder, ignore_errors=True)
  text = (
    f"`./scripts/namespaces.sh --ports` on {timing.machine()}: "
    "`local_cluster.sh --workers=1` on one host, probed from another one.\n\n"
    + make_table(found)
  )
  timing.publish(text, given.output, "open_ports")


if __name__ == "__main__":
  main()
