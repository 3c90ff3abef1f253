"""Hosts that are network namespaces, and a run on them whose cable is cut."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.acceptance import namespaces, network_faults, open_ports

_LACK = namespaces.missing()
pytestmark = pytest.mark.skipif(bool(_LACK), reason=str(_LACK))

# Answers every connection with half a megabyte.
_SERVE = """
import socket
with socket.socket() as listening:
  listening.bind(("", 2222))
  listening.listen()
  print("ready", flush=True)
  while True:
    with listening.accept()[0] as one:
      one.sendall(bytes(500_000))
"""
# Prints the seconds until the connection stands, and until all has come.
_FETCH = """
import socket, sys, time
start = time.monotonic()
with socket.create_connection((sys.argv[1], 2222), timeout=1) as one:
  met, count = time.monotonic() - start, 0
  while part := one.recv(65536):
    count += len(part)
assert count == 500_000
print(met, time.monotonic() - start)
"""


def fetch(network, host, address):
  """Seconds until another host's connection stands, and until it has ended."""
  done = subprocess.run(
    [*network.launcher(host), sys.executable, "-S", "-c", _FETCH, address],
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    assert "timed out" in done.stderr, done.stderr
    return None
  return [float(word) for word in done.stdout.split()]


def test_cables_are_cut_mended_slowed_down_and_made_longer():
  hosts = ["near", "far"]
  with namespaces.Network(hosts, f"t{os.getpid()}", ["far"]) as network:
    server = subprocess.Popen(
      [*network.launcher("far"), sys.executable, "-S", "-c", _SERVE],
      stdout=subprocess.PIPE,
      text=True,
    )
    try:
      assert server.stdout.readline() == "ready\n"
      address = network.addresses["far"]
      assert fetch(network, "near", address)[1] < 0.4
      network.cut("far")
      assert fetch(network, "near", address) is None
      network.mend("far")
      network.delay("far", 50)
      time.sleep(0.1)
      met, _ = fetch(network, "near", address)
      assert 0.1 <= met < 0.5  # one way and back
      network.delay("far", 0)
      network.limit("near", 8)
      # Half a megabyte at a megabyte a second, less the first burst.
      _, ended = fetch(network, "near", address)
      assert 0.35 < ended < 2
    finally:
      server.kill()
      server.wait()
  left = subprocess.run(
    ["ip", "netns", "list"], capture_output=True, text=True, check=True
  )
  assert f"t{os.getpid()}-" not in left.stdout


def test_a_port_that_answers_is_found_among_others():
  with subprocess.Popen(
    [
      sys.executable,
      "-S",
      "-c",
      _SERVE.replace("2222", "0", 1).replace(
        '"ready"', "listening.getsockname()[1]"
      ),
    ],
    stdout=subprocess.PIPE,
    text=True,
  ) as server:
    port = int(server.stdout.readline())
    ports = range(port - 20, port + 20)
    assert port in open_ports.reachable("127.0.0.1", ports, 0.5)
    server.kill()
  assert port not in open_ports.reachable("127.0.0.1", [port], 0.5)


@pytest.mark.slow
def test_a_run_survives_a_worker_that_is_cut_off(tmp_path):
  outcomes, code, left = network_faults.play_all(
    ["worker_cut_for_good"], str(tmp_path / "run"), network_faults.TRAINING
  )
  assert outcomes["worker_cut_for_good"].steps_lost == 0
  assert code == 128 + signal.SIGTERM and not left
