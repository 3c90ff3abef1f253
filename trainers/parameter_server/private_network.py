"""A network of this process and its children alone.

TensorFlow opens its ports on every interface, and there is no option against
it. Where the only interface is a loopback of their own, nobody else reaches
them, not even for a moment.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # sched.h
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # of an interface


def enter():
  """Moves this process into a network with a loopback and nothing else.

  Root's rights, or the right to make a namespace of users, are needed; the
  process must have one thread.

  Raises:
    OSError: the system does not allow it.
  """
  user, group = os.getuid(), os.getgid()
  try:
    _unshare(_NEW_NETWORK)
  except PermissionError:
    _unshare(_NEW_NETWORK | _NEW_USER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
  _raise_loopback()


def _unshare(kinds):
  library = ctypes.CDLL(None, use_errno=True)
  if library.unshare(kinds):
    number = ctypes.get_errno()
    # A system without namespaces says that the argument is wrong.
    number = errno.EPERM if number == errno.EINVAL else number
    raise OSError(number, os.strerror(number))


def _write(path, text):
  with open(path, "w", encoding="utf-8") as file:
    file.write(text)


def _raise_loopback():
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    request = struct.pack("16sh22x", b"lo", 0)
    answer = fcntl.ioctl(any_socket, _GET_FLAGS, request)
    (flags,) = struct.unpack_from("h", answer, 16)
    request = struct.pack("16sh22x", b"lo", flags | _UP)
    fcntl.ioctl(any_socket, _SET_FLAGS, request)
