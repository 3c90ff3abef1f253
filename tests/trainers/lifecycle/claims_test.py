"""A folder has one owner at a time, whatever becomes of its owners."""

import contextlib
import errno
import json
import os
import signal
import time

import pytest

from trainers.lifecycle import claims


def fork(work):
  """Calls a function in another process; returns its number."""
  child = os.fork()
  if child == 0:
    with contextlib.suppress(BaseException):
      work()
    os._exit(0)
  return child


def wait_for(is_true):
  deadline = time.monotonic() + 30
  while not is_true():
    assert time.monotonic() < deadline
    time.sleep(0.002)


@pytest.fixture
def held_elsewhere(tmp_path):
  """A claim of a process on another machine; a function gives it an age."""
  path = tmp_path / "claims" / "1"
  path.parent.mkdir()
  other = claims.Owner("far", "another boot", 7, 1)
  path.write_bytes(b"held    \n" + json.dumps(other._asdict()).encode())

  def age(seconds):
    os.utime(path, (time.time() - seconds,) * 2)
    return path

  return age


def test_a_claimed_folder_is_refused_until_it_is_released(tmp_path):
  with claims.hold(tmp_path) as claim:
    claim.check()
    assert claims.owner(tmp_path).process == os.getpid()
    with pytest.raises(claims.Busy, match=f"{os.getpid()} on "):
      with claims.hold(tmp_path):
        pass
  assert claims.owner(tmp_path) is None
  with claims.hold(tmp_path):
    pass


def test_a_killed_owner_holds_nothing_even_before_its_parent_has_noticed(
  tmp_path,
):
  def work():
    with claims.hold(tmp_path):
      time.sleep(60)

  child = fork(work)
  wait_for(lambda: claims.owner(tmp_path))
  os.kill(child, signal.SIGSTOP)  # not dead, and not to be robbed
  with pytest.raises(claims.Busy):
    with claims.hold(tmp_path):
      pass
  os.kill(child, signal.SIGKILL)
  wait_for(lambda: claims.owner(tmp_path) is None)
  with claims.hold(tmp_path):
    pass
  os.waitpid(child, 0)


def test_an_owner_on_another_machine_is_dead_after_the_lease(
  tmp_path, held_elsewhere
):
  held_elsewhere(claims.LEASE - 20)
  with pytest.raises(claims.Busy, match="7 on far"):
    with claims.hold(tmp_path):
      pass
  held_elsewhere(claims.LEASE + 20)
  with claims.hold(tmp_path):
    pass


def test_an_owner_that_slept_finds_that_another_has_taken_over(tmp_path):
  with claims.hold(tmp_path) as sleeper:
    path = tmp_path / "claims" / "1"  # as another machine sees it
    path.write_text(path.read_text().replace(claims._machine(), "another"))
    os.utime(path, (time.time() - 2 * claims.LEASE,) * 2)
    with claims.hold(tmp_path):
      with pytest.raises(claims.Busy, match="taken over"):
        sleeper.check()


def test_signs_renew_the_lease(tmp_path, monkeypatch):
  monkeypatch.setattr(claims, "BEAT", 0.01)
  with claims.hold(tmp_path):
    path = tmp_path / "claims" / "1"
    os.utime(path, (1000, 1000))
    wait_for(lambda: time.time() - path.stat().st_mtime < 60)


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_that_want_a_dead_owner_s_folder_one_gets_it(
  tmp_path, held_elsewhere, monkeypatch, has_links
):
  held_elsewhere(2 * claims.LEASE)
  if not has_links:

    def link(source, target):
      raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)

  start, end = tmp_path / "start", tmp_path / "end"

  def work():
    wait_for(start.exists)
    with claims.hold(tmp_path):
      (tmp_path / f"winner_{os.getpid()}").touch()
      wait_for(end.exists)

  children = [fork(work) for _ in range(12)]
  start.touch()
  wait_for(lambda: list(tmp_path.glob("winner_*")))
  time.sleep(0.2)
  end.touch()
  for child in children:
    os.waitpid(child, 0)
  assert len(list(tmp_path.glob("winner_*"))) == 1
  assert sorted(os.listdir(tmp_path / "claims")) == ["1", "2"]


def test_an_answer_lost_on_the_way_is_no_refusal(tmp_path, monkeypatch):
  link = os.link

  def unheard(source, target):
    link(source, target)
    raise FileExistsError(errno.EEXIST, "the second message")

  monkeypatch.setattr(os, "link", unheard)
  with claims.hold(tmp_path):
    assert claims.owner(tmp_path).process == os.getpid()
