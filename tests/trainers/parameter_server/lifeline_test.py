"""Who waits for others says so, and does not wait for ever."""

import socket
import threading

import pytest

from trainers.lifecycle import exit_codes
from trainers.parameter_server import lifeline

SECONDS = 60.0  # that a busy machine may take for what is due at once


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
  monkeypatch.setattr(lifeline, "_NOTICE_SECONDS", 0.01)


def test_a_call_that_hangs_is_spoken_for_and_ended():
  said, codes, is_ended = [], [], threading.Event()

  def leave(code):
    codes.append(code)
    is_ended.set()

  watchdog = lifeline.Watchdog(said.append, 0.1, leave)
  assert is_ended.wait(SECONDS)
  watchdog.stop()
  assert codes == [exit_codes.LOST]
  assert said[0].startswith("No answer from a member for 0 s")
  assert said[-1] == "Nobody answered for 0 s; ending."


def test_a_paused_watchdog_waits_as_long_as_it_takes():
  said, codes, spoke = [], [], threading.Event()

  def say(sentence):
    said.append(sentence)
    spoke.set()

  watchdog = lifeline.Watchdog(say, 1e9, codes.append)
  with watchdog.paused():
    spoke.wait(0.2)  # a word may have been under way
    count = len(said)
    spoke.clear()
    assert not spoke.wait(0.3)
    assert len(said) == count
  assert spoke.wait(SECONDS)  # silence counts again
  watchdog.stop()
  assert not codes


def test_a_chief_that_never_comes_is_not_waited_for_for_ever():
  said = []
  assert not lifeline.follow_chief("127.0.0.1:1", 0.2, said.append)
  assert "chief at 127.0.0.1:1" in said[0]


def test_a_chief_that_was_there_is_missed():
  with socket.socket() as chief:
    chief.bind(("127.0.0.1", 0))
    chief.listen()
    address = f"127.0.0.1:{chief.getsockname()[1]}"
    found = []
    member = threading.Thread(
      target=lambda: found.append(
        lifeline.follow_chief(address, 0.2, lambda sentence: None)
      )
    )
    member.start()
    chief.accept()[0].close()  # it looked
  member.join(SECONDS)
  assert found == [True]
