"""Machines on one machine: a network namespace each, on a switch.

Every host has an address of its own, 10.77.0.N, and a cable to the switch,
which is a bridge in a namespace of its own. Nothing touches the network of this
machine. Root's rights are needed, and the programs ip, tc, nft and nsenter.
"""

import shutil
import subprocess
import sys

_PROGRAMS = ("ip", "tc", "nft", "nsenter")
_PORT = 2222
_BURST = "64kb"
# Of frames; few large ones cost little, as on a network for computing.
_MTU = 9000


def missing():
  """What this machine lacks for `Network`, as a phrase; None if nothing."""
  absent = [name for name in _PROGRAMS if not shutil.which(name)]
  if absent:
    return f"no program called {', '.join(absent)}"
  name = "sobolev-trial"
  found = subprocess.run(
    ["ip", "netns", "add", name], capture_output=True, text=True, check=False
  )
  if found.returncode:
    return f"no network namespace can be made ({found.stderr.strip()})"
  _run("ip", "netns", "delete", name)
  return None


class Network:
  """Hosts and their switch; use it as a context manager.

  Attributes:
    addresses: dict from a host's name to its address.
  """

  def __init__(self, hosts, tag, delayed=()):
    """Takes names.

    Args:
      hosts: names of the hosts, short.
      tag: what tells this network from others on the machine, shorter.
      delayed: names of hosts whose cables `delay` can make longer.
    """
    self._hosts, self._tag, self._delayed = list(hosts), tag, set(delayed)
    self._wires = {}
    self.addresses = {
      host: f"10.77.0.{number}" for number, host in enumerate(hosts, 1)
    }

  def namespace(self, host):
    """The name of a host's namespace."""
    return f"{self._tag}-{host}"

  def launcher(self, host):
    """Words that make the program after them run on a host, as one process."""
    return ("nsenter", f"--net=/run/netns/{self.namespace(host)}")

  def __enter__(self):
    switch = self.namespace("switch")
    try:
      _run("ip", "netns", "add", switch)
      self._in("switch", "ip", "link", "add", "bridge", "type", "bridge")
      self._in("switch", "ip", "link", "set", "bridge", "mtu", _MTU, "up")
      for host in self._hosts:
        self._add(host)
    except BaseException:
      self.__exit__()
      raise
    return self

  def __exit__(self, *unused):
    for wire in self._wires.values():
      wire.kill()
      wire.wait()
    for host in (*self._hosts, "switch"):
      _run("ip", "netns", "delete", self.namespace(host), check=False)

  def _add(self, host):
    name = self.namespace(host)
    _run("ip", "netns", "add", name)
    if host in self._delayed:
      self._in(host, *"ip tuntap add eth0 mode tap".split())
      self._in("switch", "ip", "tuntap", "add", host, "mode", "tap")
    else:
      self._in(
        "switch",
        *("ip", "link", "add", host, "type", "veth"),
        *("peer", "name", "eth0", "netns", name),
      )
    for place, device in ((host, "eth0"), ("switch", host)):
      self._in(place, "ip", "link", "set", device, "mtu", _MTU, "up")
    self._in("switch", "ip", "link", "set", host, "master", "bridge")
    address = f"{self.addresses[host]}/24"
    self._in(host, "ip", "address", "add", address, "dev", "eth0")
    self._in(host, "ip", "link", "set", "lo", "up")
    if host in self._delayed:
      self._wires[host] = subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.wire"]
        + [f"/run/netns/{name}", "eth0"]
        + [f"/run/netns/{self.namespace('switch')}", host],
        stdin=subprocess.PIPE,
        text=True,
      )

  def _in(self, place, *words):
    _run(*self.launcher(place), *words)

  def cut(self, host):
    """Takes a host off the switch; nobody is told."""
    self._in("switch", "ip", "link", "set", host, "nomaster")

  def mend(self, host):
    """Puts it back."""
    self._in("switch", "ip", "link", "set", host, "master", "bridge")

  def limit(self, host, megabits):
    """Lets a cable carry so many Mbit/s in each direction."""
    shape = ("rate", f"{megabits}mbit", "burst", _BURST, "latency", "200ms")
    for place, device in ((host, "eth0"), ("switch", host)):
      self._in(
        place,
        *("tc", "qdisc", "replace", "dev", device, "root", "tbf", *shape),
      )

  def lose(self, host, percent):
    """Drops some of the packets that arrive at a host, at random."""
    self._in(host, "nft", "add", "table", "ip", "loss")
    self._in(host, "nft", "delete", "table", "ip", "loss")
    self._in(host, "nft", "add", "table", "ip", "loss")
    chain = "{ type filter hook prerouting priority 0; }"
    self._in(host, "nft", f"add chain ip loss arriving {chain}")
    rule = f"numgen random mod 1000 < {round(10 * percent)} drop"
    self._in(host, "nft", f'add rule ip loss arriving iifname "eth0" {rule}')

  def delay(self, host, milliseconds):
    """Makes every packet take so long on a cable, each way."""
    wire = self._wires[host]
    wire.stdin.write(f"{milliseconds}\n")
    wire.stdin.flush()


def cluster_of(num_workers, num_servers):
  """The hosts of a cluster, dict from a role to their names."""
  return {
    "chief": ["chief"],
    "ps": [f"ps{index}" for index in range(num_servers)],
    "worker": [f"worker{index}" for index in range(num_workers)],
  }


def jobs_on(hosts):
  """HOST:PORT of everybody, as TF_CONFIG has them.

  Args:
    hosts: what `cluster_of` returns, in the order of the network's addresses.
  """
  numbers = iter(range(1, 255))
  return {
    role: [f"10.77.0.{next(numbers)}:{_PORT}" for _ in names]
    for role, names in hosts.items()
  }


def _run(*words, check=True):
  done = subprocess.run(
    [str(word) for word in words], capture_output=True, text=True, check=False
  )
  if check and done.returncode:
    raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
