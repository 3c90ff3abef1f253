"""Sockets that a library has opened are found and set."""

import os
import socket

import pytest

from trainers.parameter_server import sockets


@pytest.fixture
def ends():
  """A listening socket and the two ends of a connection to it."""
  with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    with socket.create_connection(listening.getsockname()) as near:
      with listening.accept()[0] as far:
        yield listening, near, far


def test_connections_of_a_port_are_given_up_after_a_silence(ends):
  listening, *connected = ends
  port = listening.getsockname()[1]
  assert sockets.limit_silence({port}, seconds=40) == 2
  for one in connected:
    level = socket.IPPROTO_TCP
    assert one.getsockopt(level, socket.TCP_USER_TIMEOUT) == 40_000
    assert one.getsockopt(level, socket.TCP_KEEPIDLE) == 10
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
  assert sockets.limit_silence({port + 1}) == 0


def test_looking_for_sockets_keeps_no_file_open(ends):
  before = len(os.listdir("/proc/self/fd"))
  sockets.limit_silence({1})
  assert len(os.listdir("/proc/self/fd")) == before


def test_only_the_listening_socket_is_bound_to_loopback(ends):
  listening, *connected = ends
  port = listening.getsockname()[1]
  sockets.bind_to_loopback(port)
  level, name = socket.SOL_SOCKET, socket.SO_BINDTODEVICE
  assert listening.getsockopt(level, name, 16).rstrip(b"\0") == b"lo"
  for one in connected:
    assert one.getsockopt(level, name, 16).rstrip(b"\0") == b""


def test_a_port_where_nothing_listens_is_an_error():
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  with pytest.raises(OSError, match=f"nothing listens on port {port}"):
    sockets.bind_to_loopback(port)
