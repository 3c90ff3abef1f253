"""Policies in files: what is written comes back, what is damaged does not."""

import hashlib
import json
import pathlib

import numpy as np
import pytest

from sobolev_tf.export import policies, weights
from sobolev_tf.networks.atari import StudentNetwork, TeacherNetwork

CARD = {"game": "breakout", "action_names": ["NOOP", "FIRE", "RIGHT", "LEFT"]}


@pytest.fixture(scope="module")
def teacher():
  network = TeacherNetwork(4, seed=3)
  weights.round_weights(network)
  return network


@pytest.fixture
def path(tmp_path, teacher):
  file = tmp_path / "breakout.npz"
  policies.save_policy(str(file), teacher, {**CARD, "steps": 7})
  return file


def rewrite(path, change):
  """Changes the arrays and keeps the card's hash right."""
  with np.load(path) as file:
    arrays = dict(file)
  change(arrays)
  with open(path, "wb") as file:
    np.savez(file, **arrays)
  edit_card(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def edit_card(path, **changes):
  card_file = pathlib.Path(weights.card_path(str(path)))
  card = {**json.loads(card_file.read_text()), **changes}
  card_file.write_text(json.dumps(weights.seal(card)))


def refused(path, phrase, kind=None):
  with pytest.raises(ValueError, match=phrase) as error:
    policies.load_policy(str(path), kind)
  assert "\n" not in str(error.value)


def test_rounded_weights_come_back_exactly(path, teacher):
  network, card = policies.load_policy(str(path), "teacher")
  assert isinstance(network, TeacherNetwork)
  for a, b in zip(network.variables, teacher.variables, strict=True):
    np.testing.assert_array_equal(a, b)
  assert card["steps"] == 7 and card["kind"] == "teacher"
  assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
  assert path.stat().st_size < 4_000_000
  assert not list(path.parent.glob("*.partial"))


def test_other_weights_come_back_to_half_precision(tmp_path):
  student = StudentNetwork(3)
  path = str(tmp_path / "student.npz")
  policies.save_policy(path, student, {**CARD, "action_names": ["A", "B", "C"]})
  network, card = policies.load_policy(path)
  assert card["kind"] == "student" and network.num_actions == 3
  for a, b in zip(network.variables, student.variables, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)


def test_files_are_plain_arrays(path):
  with np.load(path, allow_pickle=False) as file:
    assert set(file.files) >= {"conv_1/w", "hidden/b", "value/w"}
    assert {file[name].dtype for name in file.files} == {np.dtype(np.float16)}


def test_same_weights_give_the_same_file(path, teacher, tmp_path):
  again = tmp_path / "again.npz"
  policies.save_policy(str(again), teacher, CARD)
  assert again.read_bytes() == path.read_bytes()


def test_a_missing_file_is_named(path, tmp_path):
  refused(tmp_path / "none.npz", "none.npz does not exist")
  pathlib.Path(weights.card_path(str(path))).unlink()
  refused(path, "breakout.json does not exist")


def test_a_changed_file_is_refused(path):
  content = bytearray(path.read_bytes())
  content[1000] ^= 1
  path.write_bytes(content)
  refused(path, "sha256 differs")


def test_a_truncated_file_is_refused_even_with_its_own_hash(path):
  path.write_bytes(path.read_bytes()[:5000])
  edit_card(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
  refused(path, "no readable .npz")


def test_a_pickle_inside_is_not_opened(path):
  def change(arrays):
    arrays["conv_1/w"] = np.array([{"a": 1}], dtype=object)

  rewrite(path, change)
  refused(path, "conv_1/w in .* is object")


@pytest.mark.parametrize(
  ("name", "array", "phrase"),
  [
    ("conv_1/w", np.zeros([8, 8, 4, 16], np.float16), r"float16 \(8, 8, 4, 32"),
    ("conv_1/w", np.zeros([8, 8, 4, 32], np.float32), "is float32"),
    ("value/b", np.array([np.nan], np.float16), "not finite"),
    ("more/w", np.zeros([1], np.float16), "more/w stand"),
  ],
)
def test_arrays_that_do_not_fit_are_refused(path, name, array, phrase):
  rewrite(path, lambda arrays: arrays.update({name: array}))
  refused(path, phrase)


def test_cards_that_are_no_policys_are_refused(path):
  refused(path, "holds a teacher, but a student is wanted", "student")
  edit_card(path, kind="tutor")
  refused(path, "no card of a policy")
  edit_card(path, kind="teacher", action_names=["A"])
  refused(path, r"policy/b|policy/w")
  pathlib.Path(weights.card_path(str(path))).write_text("[]")
  refused(path, "no JSON object")
  pathlib.Path(weights.card_path(str(path))).write_text("{")
  refused(path, "not valid JSON")


@pytest.mark.parametrize(
  "changes",
  [
    {"kind": ["teacher"]},
    {"kind": {}},
    {"kind": 3},
    {"game": ["pong"]},
    {"game": None},
    {"action_names": "NOOP"},
    {"action_names": 4},
    {"action_names": [1, 2, 3, 4]},
    {"action_names": [["NOOP"]] * 4},
    {"action_names": []},
  ],
)
def test_cards_with_other_things_than_names_are_refused(path, changes):
  edit_card(path, **changes)
  refused(path, "no card of a policy")


def test_cards_without_end_are_refused(path):
  edit_card(path, action_names=["NOOP"] * 1_001)
  refused(path, "names 1001 actions")
  edit_card(path, action_names=["NOOP"] * 200_000)
  refused(path, "but a card has 1,000,000 at most")
  pathlib.Path(weights.card_path(str(path))).write_text("[" * 500_000)
  refused(path, "not valid JSON")


@pytest.mark.parametrize(
  ("old", "new"),
  [
    ('"steps": 7', '"steps": 8'),
    ('"NOOP"', '"NOOQ"'),
    ('"card_sha256"', '"card_sha257"'),
    ("{", '{"more": 1,'),
  ],
)
def test_a_card_of_which_one_character_differs_is_refused(path, old, new):
  card_file = pathlib.Path(weights.card_path(str(path)))
  text = card_file.read_text()
  assert old in text
  card_file.write_text(text.replace(old, new, 1))
  refused(path, "breakout.json is not as it was written")


def test_a_card_may_be_laid_out_anew(path):
  before = weights.load_card(str(path))
  edit_card(path)
  assert weights.load_card(str(path)) == before


def test_cards_with_another_hash_than_text_are_refused(path):
  for odd in (None, 3, ["a"], {}):
    edit_card(path, sha256=odd)
    refused(path, "sha256 differs")


def test_a_huge_file_is_refused_before_its_hash(path):
  with open(path, "ab") as file:
    file.truncate(10**12)  # sparse: it takes no room
  refused(path, "has 1,000,000,000,000 bytes")


def test_what_cannot_be_kept_is_not_written(tmp_path, teacher):
  huge = StudentNetwork(4)
  huge.policy.b.assign([1e6, 0, 0, 0])
  with pytest.raises(ValueError, match="not finite in half precision"):
    policies.save_policy(str(tmp_path / "huge.npz"), huge, CARD)
  with pytest.raises(ValueError, match="2 actions, but the network has 4"):
    policies.save_policy(
      str(tmp_path / "x.npz"), teacher, {**CARD, "action_names": ["A", "B"]}
    )
  with pytest.raises(ValueError, match="does not end in .npz"):
    policies.save_policy(str(tmp_path / "x.zip"), teacher, CARD)
  assert not list(tmp_path.iterdir())


def test_a_refused_file_leaves_the_network_as_it_was(path):
  def change(arrays):
    arrays["value/w"] = np.full([512, 1], np.inf, np.float16)

  rewrite(path, change)
  network = TeacherNetwork(4, seed=1)
  before = [v.numpy() for v in network.variables]
  with pytest.raises(ValueError, match="not finite"):
    weights.load_weights(str(path), network)
  for a, b in zip(network.variables, before, strict=True):
    np.testing.assert_array_equal(a, b)
