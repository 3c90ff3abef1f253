"""What TensorFlow reports about members and disks becomes one sentence."""

import errno
import types

import pytest
import tensorflow as tf

from trainers.lifecycle import run
from trainers.lifecycle.command_line import CommandError
from trainers.parameter_server import chief


def named(error):
  with chief.named_failures():
    raise error


def test_a_member_that_is_gone_is_lost():
  for error in (
    tf.errors.UnavailableError(None, None, "failed to connect\nmore"),
    tf.errors.AbortedError(None, None, "Session was not found"),
    tf.errors.InvalidArgumentError(None, None, "ps unknown device."),
  ):
    with pytest.raises(chief.Lost) as found:
      named(error)
    assert "\n" not in str(found.value)


def test_a_full_disk_is_no_lost_member():
  for error in (
    OSError(errno.ENOSPC, "No space left on device"),
    tf.errors.AbortedError(None, None, "x; No space left on device"),
  ):
    with pytest.raises(type(error)):
      named(error)


def test_other_settings_are_a_mistake_of_the_user():
  text = "ValueError: settings of the worker: seed is 1 there and 0 here\n\nat"
  with pytest.raises(CommandError, match="seed is 1 there and 0 here; start"):
    named(tf.errors.InvalidArgumentError(None, None, text))


def test_what_is_nobodys_fault_stays_what_it_is():
  for error in (
    tf.errors.InvalidArgumentError(None, None, "shapes differ"),
    OSError(errno.EACCES, "no"),
  ):
    with pytest.raises(type(error)):
      named(error)


class FakeRun:
  """As much of a `run.Run` as waiting needs."""

  workdir = "DIR"
  is_stopping = False

  def __init__(self):
    self.said = []
    self.say = self.said.append
    self.config = None


def waiting(monkeypatch, patience=60.0, members=()):
  monkeypatch.setattr(chief, "_NOTICE_SECONDS", 0.05)
  monkeypatch.setattr(chief, "_STOP_SECONDS", 0.2)
  cluster = types.SimpleNamespace(others=lambda: dict(members))
  this_run = FakeRun()
  watchdog = types.SimpleNamespace(sign=lambda: None)
  leader = chief.Chief(this_run, None, (), cluster, patience, watchdog)
  return this_run, leader


def test_waiting_says_who_is_out_of_reach(monkeypatch):
  members = [("worker 1", "127.0.0.1:1")]
  this_run, leader = waiting(monkeypatch, members=members)
  assert leader._wait(7, lambda: bool(this_run.said))
  assert this_run.said[0].startswith("Step 7: waiting for its shares for")
  assert "out of reach: worker 1" in this_run.said[0]


def test_who_waits_in_vain_is_lost_after_a_while(monkeypatch):
  _, leader = waiting(monkeypatch, patience=0.2)
  with pytest.raises(chief.Lost, match="nothing came in"):
    leader._wait(7, lambda: False)


def test_a_stop_lets_the_step_end_but_not_for_ever(monkeypatch):
  this_run, leader = waiting(monkeypatch)
  this_run.is_stopping = True
  assert not leader._wait(7, lambda: True)
  with pytest.raises(run.Stopped, match="stopped in step 7 of DIR") as stop:
    leader._wait(7, lambda: False)
  assert stop.value.code == 143
