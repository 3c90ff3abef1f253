"""Who works in a folder: claims that need no lock of the file system.

A lock (`flock`) means nothing on some shared file systems. Here the n-th claim
on a folder is its file `claims/n`; to make a file that must not exist yet is
atomic on local file systems and NFS alike, so each number has one owner, and
no number is ever given again.

The newest claim is in force until its owner has released it or is dead. On the
owner's machine the kernel knows whether it lives. Elsewhere it counts as dead
once its file, whose time it renews every `BEAT` seconds, is `LEASE` seconds
old by the file system's own clock. An owner that only slept finds the next
claim at `Claim.check`, and writes no more.
"""

import contextlib
import errno
import json
import os
import socket
import threading
import time
import typing
import uuid

from trainers.lifecycle.command_line import CommandError

LEASE = 120.0  # seconds
BEAT = 10.0  # seconds
# The first bytes of a claim. They are overwritten in place, which needs no room
# on a full disk.
_HELD, _RELEASED = b"held    \n", b"released\n"
_HIDDEN = -1
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Busy(CommandError):
  """Another process works in this folder."""


class Owner(typing.NamedTuple):
  """A process, as its claims name it.

  Attributes:
    host: its machine's name, for people.
    machine: what only processes that see each other in /proc have in common.
    process: its number there.
    started: when it was started, in the kernel's ticks: numbers come again.
  """

  host: str
  machine: str
  process: int
  started: int

  def is_alive(self, age):
    """Whether it lives, as far as this process can know.

    Args:
      age: seconds since its last sign.
    """
    if self.machine == _machine():
      return _started(self.process) in (self.started, _HIDDEN)
    return age < LEASE


class Claim:
  """A claim in force; `hold` makes it."""

  def __init__(self, folder, number):
    """Takes the folder and the claim's number in it."""
    self._folder, self._number = folder, number
    self._done = threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)
    self._thread.start()

  def check(self):
    """Raises `Busy` if another process has taken over, for want of a sign."""
    if os.path.exists(_path(self._folder, self._number + 1)):
      raise Busy(
        f"another process has taken over {self._folder}, because this one gave "
        f"no sign for {LEASE:.0f} s; it writes no more there."
      )

  def release(self):
    """Lets others take the folder."""
    self._done.set()
    self._thread.join()
    path = _path(self._folder, self._number)
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
      file.write(_RELEASED)

  def _beat(self):
    while not self._done.wait(BEAT):
      with contextlib.suppress(OSError):  # the next one may get through
        os.utime(_path(self._folder, self._number))


@contextlib.contextmanager
def hold(folder):
  """Claims a folder for as long as the context lasts.

  Args:
    folder: path of a folder that can be written.

  Yields:
    A `Claim`.

  Raises:
    Busy: another process has it.
  """
  claim = _take(folder)
  try:
    yield claim
  finally:
    claim.release()


def owner(folder):
  """The `Owner` whose claim on a folder is in force, or None."""
  number = _newest(folder)
  return _owner_in_force(folder, number, time.time()) if number else None


def _take(folder):
  os.makedirs(os.path.join(folder, "claims"), exist_ok=True)
  draft = os.path.join(folder, "claims", f".{uuid.uuid4().hex}")
  me = Owner(
    socket.gethostname(), _machine(), os.getpid(), _started(os.getpid())
  )
  with open(draft, "wb") as file:
    file.write(_HELD + json.dumps(me._asdict()).encode() + b"\n")
  try:
    now = os.stat(draft).st_mtime  # by the file system's clock
    while True:
      number = _newest(folder)
      other = _owner_in_force(folder, number, now) if number else None
      if other is not None:
        raise Busy(
          f"another process ({other.process} on {other.host}) works in "
          f"{folder}; wait for it, or name another --workdir."
        )
      if _link(draft, _path(folder, number + 1)):
        return Claim(folder, number + 1)
  finally:
    os.remove(draft)


def _link(draft, path):
  """Makes `path`, with the draft's content, unless it exists.

  Returns:
    Whether it was made here.
  """
  try:
    os.link(draft, path)
  except FileExistsError:
    # Over NFS the answer to a link that was made can be lost, and the second
    # message then finds it made.
    return os.stat(draft).st_nlink > 1
  except OSError as error:
    if error.errno not in _NO_LINKS:
      raise
    return _copy(draft, path)
  return True


def _copy(draft, path):
  """As `_link`, for file systems without links."""
  with open(draft, "rb") as file:
    content = file.read()
  try:
    with open(path, "xb") as file:
      file.write(content)
  except FileExistsError:
    return False
  return True


def _owner_in_force(folder, number, now):
  """The owner of a claim; None if it is released or its owner is dead."""
  with open(_path(folder, number), "rb") as file:
    age = now - os.fstat(file.fileno()).st_mtime
    state, text = file.readline(), file.read()
  if state == _RELEASED:
    return None
  try:
    found = Owner(**json.loads(text))
  except (ValueError, TypeError):  # it is being written
    found = Owner("an unknown machine", "", 0, 0)
  return found if found.is_alive(age) else None


def _newest(folder):
  """The highest number of a claim on a folder; 0 if there is none."""
  try:
    names = os.listdir(os.path.join(folder, "claims"))
  except FileNotFoundError:
    return 0
  return max((int(name) for name in names if name.isdecimal()), default=0)


def _path(folder, number):
  return os.path.join(folder, "claims", str(number))


def _machine():
  with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
    return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"


def _started(process):
  """When a process was started; None if it has ended.

  `_HIDDEN` if it lives and is another user's, where /proc keeps those back.
  """
  try:
    with open(f"/proc/{process}/stat", encoding="utf-8") as file:
      fields = file.read().rpartition(")")[2].split()
  except (FileNotFoundError, ProcessLookupError):
    return _HIDDEN if _is_foreign(process) else None
  return None if fields[0] in "ZX" else int(fields[19])


def _is_foreign(process):
  try:
    os.kill(process, 0)
  except PermissionError:
    return True
  except ProcessLookupError:
    pass
  return False
