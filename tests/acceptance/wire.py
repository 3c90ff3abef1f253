"""A cable between two tap devices, as long as it is told to be.

    python -m tests.acceptance.wire NAMESPACE DEVICE NAMESPACE DEVICE

Each line of the standard input is the delay from then on, in milliseconds and
each way; 0 at first. It stands for netem, which not every kernel has.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

_SET_INTERFACE = 0x400454CA  # if_tun.h
_TAP, _NO_HEADER = 0x0002, 0x1000
_NETWORK = 0x40000000
_FRAME = 65536


def _open(namespace, device):
  """A tap device in a namespace, as a file of Ethernet frames."""
  with open(namespace, "rb") as place:
    if ctypes.CDLL(None).setns(place.fileno(), _NETWORK):
      raise OSError(f"{namespace} cannot be entered")
  number = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
  request = struct.pack("16sH22x", device.encode(), _TAP | _NO_HEADER)
  fcntl.ioctl(number, _SET_INTERFACE, request)
  return number


def carry(ends):
  """Carries frames between two ends until the standard input closes."""
  delay = 0.0
  queues = {end: collections.deque() for end in ends}  # (when due, frame)
  others = {ends[0]: ends[1], ends[1]: ends[0]}
  while True:
    due = [queue[0][0] for queue in queues.values() if queue]
    wait = max(min(due) - time.monotonic(), 0) if due else None
    ready, _, _ = select.select([*ends, sys.stdin], [], [], wait)
    if sys.stdin in ready:
      line = sys.stdin.readline()
      if not line:
        return
      delay = float(line) / 1e3
    now = time.monotonic()
    for end in set(ready) & set(ends):
      for frame in _read_all(end):
        queues[others[end]].append((now + delay, frame))
    for end, queue in queues.items():
      while queue and queue[0][0] <= now:
        try:
          os.write(end, queue.popleft()[1])
        except OSError:  # its buffer is full: a lost packet
          pass


def _read_all(end):
  frames = []
  while len(frames) < 64:
    try:
      frames.append(os.read(end, _FRAME))
    except BlockingIOError:
      break
  return frames


if __name__ == "__main__":
  _, *words = sys.argv
  carry([_open(*words[:2]), _open(*words[2:])])
