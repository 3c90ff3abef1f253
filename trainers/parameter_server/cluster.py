"""Who takes part in a parameter-server run, and the port of each.

The members are read from `TF_CONFIG`, which any scheduler can set, or from
flags. Every member serves TensorFlow's protocol, which executes whatever graph
it is sent and asks for no password.
"""

import json
import os
import socket
import time
import typing

import tensorflow as tf

from trainers.lifecycle.command_line import CommandError, setting
from trainers.parameter_server import sockets

ROLES = ("chief", "worker", "ps")
_PROBE_SECONDS = 2.0
_NOTICE_SECONDS = 10.0  # between two notices of a member that waits
# Flags of every trainer that runs on a cluster.
FLAGS = {
  "role": setting(
    "", "of this process; instead of TF_CONFIG", choices=("", *ROLES)
  ),
  "index": setting(
    0, "which worker or ps this is; instead of TF_CONFIG", minimum=0
  ),
  "chief": setting("", "HOST:PORT of the chief; instead of TF_CONFIG"),
  "workers": setting("", "HOST:PORT,... of the workers; instead of TF_CONFIG"),
  "servers": setting("", "HOST:PORT,... of the parameter servers, as above"),
  "bind": setting(
    "loopback",
    "loopback: only this machine reaches the port; any: everybody on the "
    "network does, and the protocol has no authentication",
    choices=("loopback", "any"),
  ),
}


class Cluster(typing.NamedTuple):
  """The members, and which of them this process is.

  Attributes:
    jobs: dict from a role to its addresses, HOST:PORT.
    role: of this process.
    index: its place among those of the same role.
    bind: "loopback" or "any".
  """

  jobs: dict
  role: str
  index: int
  bind: str

  @property
  def address(self):
    """HOST:PORT of this process."""
    return self.jobs[self.role][self.index]

  @property
  def num_workers(self):
    """Number of workers."""
    return len(self.jobs["worker"])

  @property
  def num_servers(self):
    """Number of parameter servers."""
    return len(self.jobs["ps"])

  def others(self):
    """Dict from the names of servers and workers, as "ps 0", to HOST:PORT."""
    return {
      f"{role} {index}": address
      for role in ("ps", "worker")
      for index, address in enumerate(self.jobs[role])
    }

  def specification(self):
    """The members as TensorFlow wants them."""
    return tf.train.ClusterSpec(self.jobs)


def read(flags, environment=os.environ):
  """Reads the members from flags, or from TF_CONFIG where no role is given.

  Args:
    flags: dict with the names of `FLAGS`.
    environment: dict with TF_CONFIG, perhaps.

  Returns:
    A `Cluster`.

  Raises:
    CommandError: something is missing or does not fit.
  """
  if flags["role"]:
    jobs = {
      role: [item for item in flags[name].split(",") if item]
      for role, name in (
        ("chief", "chief"),
        ("worker", "workers"),
        ("ps", "servers"),
      )
    }
    role, index, source = flags["role"], flags["index"], "the flags"
  elif environment.get("TF_CONFIG"):
    jobs, role, index = _parse(environment["TF_CONFIG"])
    source = "TF_CONFIG"
  else:
    raise CommandError(
      "the members are not known; set TF_CONFIG, or give --role, --chief, "
      "--workers and --servers, or start ./scripts/local_cluster.sh."
    )
  _check(jobs, role, index, source)
  return Cluster(jobs, role, int(index), flags["bind"])


def _parse(text):
  try:
    content = json.loads(text)
    jobs = {role: list(content["cluster"].get(role, [])) for role in ROLES}
    return jobs, content["task"]["type"], content["task"].get("index", 0)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise CommandError(
      "TF_CONFIG is not of the form {cluster: {chief: [HOST:PORT], worker: "
      f"[...], ps: [...]}}, task: {{type, index}}}} ({error!r}); correct it."
    ) from error


def _check(jobs, role, index, source):
  if role not in ROLES:
    raise CommandError(
      f"the role is {role!r} in {source}, but it must be one of "
      f"{', '.join(ROLES)}."
    )
  for name, wanted in (("chief", "one"), ("worker", "some"), ("ps", "some")):
    count = len(jobs[name])
    if not count or (wanted == "one" and count > 1):
      raise CommandError(
        f"{source} name(s) {count} {name}, but {wanted} must be there."
      )
  if not str(index).isdecimal() or int(index) >= len(jobs[role]):
    raise CommandError(
      f"the index is {index} in {source}, but there are {len(jobs[role])} "
      f"{role}; give 0 to {len(jobs[role]) - 1}."
    )
  addresses = [address for name in ROLES for address in jobs[name]]
  for address in addresses:
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
      raise CommandError(
        f"{address!r} in {source} is no address; write HOST:PORT."
      )
  if len(set(addresses)) < len(addresses):
    raise CommandError(
      f"an address appears twice in {source}; every member needs its own."
    )


def ensure_threads(cluster, environment=os.environ):
  """Gives this process enough threads; call it before TensorFlow computes.

  Where one thread executes operations, one that waits for another member keeps
  it, and the answer is never read. The chief waits for every worker at once.
  """
  name = "TF_NUM_INTEROP_THREADS"
  given = environment.get(name, "")
  count = int(given) if given.isdecimal() else len(os.sched_getaffinity(0))
  environment[name] = str(max(count, cluster.num_workers + 1))


def serve(cluster):
  """Starts this member's server, whose threads do the work from then on.

  Raises:
    CommandError: the port is taken, or cannot be kept to this machine.
  """
  check_port(cluster.address)
  _fail_fast()
  try:
    server = tf.distribute.Server(
      cluster.specification(),
      job_name=cluster.role,
      task_index=cluster.index,
      protocol="grpc",
      start=True,
    )
  except tf.errors.OpError as error:
    raise CommandError(
      f"no server can be started at {cluster.address} "
      f"({_first_line(error)}); choose another port."
    ) from error
  close(cluster)
  _limit_silence(cluster)
  return server


def check_port(address):
  """Raises a `CommandError` if the port of HOST:PORT is taken."""
  port = int(address.rpartition(":")[2])
  with socket.socket(socket.AF_INET6) as probe:
    # As the server will: earlier connections may linger on the port.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
      probe.bind(("::", port))
    except OSError as error:
      raise CommandError(
        f"port {port} of {address} cannot be used ({error.strerror}); end the "
        "program that has it, or choose another port."
      ) from error


def close(cluster):
  """Shuts this process's port to the network, unless it is to be open.

  TensorFlow listens on every interface, whatever address it is given. Linux
  can bind a listening socket to the loopback interface afterwards.

  Raises:
    CommandError: the system cannot do that.
  """
  port = int(cluster.address.rpartition(":")[2])
  if cluster.bind == "any":
    print(
      f"warning: port {port} is open to the network, and TensorFlow's protocol "
      "has no authentication: whoever reaches it can run code here.",
      flush=True,
    )
    return
  try:
    sockets.bind_to_loopback(port)
  except (OSError, AttributeError) as error:
    raise CommandError(
      f"port {port} cannot be kept to this machine ({error}); this needs Linux "
      "5.7 or newer. --bind=any opens it to the network."
    ) from error


def is_reachable(address):
  """Whether something accepts connections at HOST:PORT."""
  host, _, port = address.rpartition(":")
  try:
    socket.create_connection((host, int(port)), _PROBE_SECONDS).close()
  except OSError:
    return False
  return True


def wait_for(members, say, patience, should_stop=lambda: False):
  """Waits until all members can be reached, with a line every ten seconds.

  Args:
    members: dict from a name to HOST:PORT.
    say: function that prints a sentence.
    patience: seconds to wait.
    should_stop: function that returns whether to give up at once.

  Returns:
    The names of the members that are still missing; none unless the
    patience ran out.
  """
  start = said = time.monotonic()
  missing = dict(members)
  while True:
    missing = {n: a for n, a in missing.items() if not is_reachable(a)}
    now = time.monotonic()
    if not missing or should_stop() or now - start > patience:
      return sorted(missing)
    if now - said > _NOTICE_SECONDS:
      said = now
      listed = ", ".join(f"{n} at {a}" for n, a in sorted(missing.items()))
      say(f"Waiting for {listed} for {now - start:.0f} s.")
    time.sleep(0.2)


def connect(cluster):
  """Connects the chief to everybody.

  Returns:
    A `tf.distribute.ParameterServerStrategy`.

  Raises:
    CommandError: the chief's port is taken.
    tf.errors.OpError: somebody cannot be reached.
  """
  check_port(cluster.address)
  _fail_fast()
  resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
    cluster.specification(),
    task_type="chief",
    task_id=0,
    rpc_layer="grpc",
  )
  strategy = tf.distribute.ParameterServerStrategy(resolver)
  close(cluster)
  _limit_silence(cluster)
  return strategy


def _limit_silence(cluster):
  """Notices members that vanish without a word, as on a cable that is cut."""
  ports = {
    int(address.rpartition(":")[2])
    for addresses in cluster.jobs.values()
    for address in addresses
  }
  sockets.keep_limiting_silence(ports)


def _fail_fast():
  """Calls to a member that is gone fail at once instead of waiting for it."""
  os.environ["GRPC_FAIL_FAST"] = "use_caller"


def _first_line(error):
  return str(error).strip().splitlines()[0].rstrip(".")
