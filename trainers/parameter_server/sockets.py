"""The sockets that TensorFlow opens in this process and gives no handle of."""

import contextlib
import os
import socket
import stat
import threading

# Seconds after which a member whose machine or cable is gone counts as lost.
# No packet says so, and Linux would wait for a quarter of an hour.
MOST_SILENCE = 40
# Seconds between two tries to send the same byte, at most. Linux doubles them
# up to two minutes, so that a cable that was out for half a minute would count
# as out for one.
_MOST_BETWEEN_TRIES = 5
_TCP_RTO_MAX_MS = 44  # linux/tcp.h; known since Linux 6.15
_ROUND = 5.0  # seconds between two looks for new connections


def bind_to_loopback(port):
  """Keeps the sockets that listen on a port from everything but loopback.

  Raises:
    OSError: there is none, or the system does not do that.
  """
  count = 0
  for one in _internet_sockets():
    is_listening = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if is_listening and one.getsockname()[1] == port:
      one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
      count += 1
  if not count:
    raise OSError(f"nothing listens on port {port}")


def limit_silence(ports, seconds=MOST_SILENCE):
  """Gives connections from or to some ports up after a silence.

  Args:
    ports: set of numbers.
    seconds: that a sent byte may be without an answer, and that a connection
      without traffic may be without one to a probe.

  Returns:
    The number of connections.
  """
  count = 0
  for one in _internet_sockets():
    try:
      ends = {one.getsockname()[1], one.getpeername()[1]}
    except OSError:  # it listens, or is not connected yet
      continue
    if ends & ports:
      count += 1
      one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
      one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds // 4)
      one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds // 4)
      one.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * seconds
      )
      with contextlib.suppress(OSError):  # an older Linux
        one.setsockopt(
          socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, 1000 * _MOST_BETWEEN_TRIES
        )
  return count


def keep_limiting_silence(ports):
  """Does that for connections to come, too, as long as the process lives."""

  def repeat():
    while True:
      with contextlib.suppress(OSError):  # a connection that has just ended
        limit_silence(ports)
      threading.Event().wait(_ROUND)

  threading.Thread(target=repeat, daemon=True).start()


def _internet_sockets():
  """Yields this process's TCP sockets, as duplicates that it closes again."""
  for name in os.listdir("/proc/self/fd"):
    try:
      if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
        continue
      candidate = socket.socket(fileno=os.dup(int(name)))
    except OSError:  # closed meanwhile
      continue
    with candidate:
      is_tcp = candidate.type == socket.SOCK_STREAM
      if is_tcp and candidate.family in (socket.AF_INET, socket.AF_INET6):
        yield candidate
