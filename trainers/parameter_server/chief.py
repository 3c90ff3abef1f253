"""What the chief of a parameter-server run does: rounds, tests, checkpoints."""

import contextlib
import time

import tensorflow as tf

from trainers.lifecycle import checkpoints, loop, run
from trainers.lifecycle.command_line import CommandError, full_disk
from trainers.parameter_server import cluster, worker_batches
from trainers.parameter_server.ledger import staleness_summary

COLUMNS = (
  "staleness",
  "staleness_90",
  "staleness_most",
  "begun_again",
  "finished_again",
)
_ROUNDS_AT_ONCE = {"sync": 20, "async": 5}  # between two readings of the ledger
_NOTICE_SECONDS = 15.0
_STOP_SECONDS = 20.0  # that work under way is given when the run is to stop
_LOSSES = (
  tf.errors.UnavailableError,
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
)
# The answer of a member that was restarted unnoticed.
_LOSS_WORDS = ("unknown device", "Unable to find", "not remote")


class Lost(Exception):
  """A server, or everybody, is gone; the chief has to be restarted."""


@contextlib.contextmanager
def named_failures():
  """Turns what TensorFlow says about members into one sentence.

  Raises:
    CommandError: a worker was started with other settings.
    Lost: a member is gone.
  """
  try:
    yield
  except tf.errors.OpError as error:
    other = worker_batches.difference(error)
    if other:
      raise CommandError(
        f"a worker was started with other settings than the chief: {other}; "
        "start all members with the same command."
      ) from error
    text = str(error)
    is_lost = isinstance(error, _LOSSES) or any(w in text for w in _LOSS_WORDS)
    if is_lost and not full_disk(error):
      raise Lost(_first_line(text)) from error
    raise


def _first_line(text):
  return text.strip().splitlines()[0].rstrip(".")[:300]


class Chief:
  """Leads one run; the workers and servers do the work.

  Every step is `num_replicas` shares of a batch. The ledger on the server
  records what became of them.
  """

  def __init__(self, this_run, learner, columns, members, patience, watchdog):
    """Takes what it needs.

    Args:
      this_run: the `run.Run`.
      learner: a `ParameterServerLearner`.
      columns: names of the numbers in metrics.csv.
      members: a `cluster.Cluster`.
      patience: seconds without any progress after which everybody
        counts as lost.
      watchdog: a `lifeline.Watchdog`, for calls that do not come back.
    """
    self._watchdog = watchdog
    self._run, self._learner, self._columns = this_run, learner, columns
    self._config = this_run.config
    self._members, self._patience = members, patience
    self._asked_to_stop = None
    self._again = (0, 0)

  def train(self):
    """Trains to the end.

    Returns:
      dict of the final numbers.
    """
    config, learner = self._config, self._learner
    step = self._run.restore(learner.trackables())
    learner.push()
    if step == 0:
      self._run.save(learner.trackables(), 0)
    self._entry = learner.ledger.read()
    result = None
    with self._run.progress(config.num_steps, step) as progress:
      while step < config.num_steps:
        self._watchdog.sign()
        step, is_tested = self._advance(step)
        progress.advance_to(step)
        if is_tested:
          result = self._test(step)
        if loop.is_due(step, config.checkpoint_every, config.num_steps):
          self._save(step)
        if self._run.is_stopping:
          learner.pull()
          self._run.check_stop(learner.trackables(step), step)
    if result is None:  # resumed after the last step
      learner.pull()
      with self._watchdog.paused():
        result, _ = learner.model.test(step)
    with self._watchdog.paused():
      result = learner.model.conclude(self._run, result)
    # Of the whole run; those of the tests end where a chief was started again.
    everything = learner.ledger.read().staleness
    self._run.log_histogram("staleness_of_all_updates", everything, step)
    workers = {"workers": self._members.num_workers}
    self._run.finish({**result, **self._repetitions(step), **workers})
    return self._run.result

  def _advance(self, first):
    """Trains up to the next step at which something else has to happen.

    Returns:
      the step that was reached, and whether a test is due there.
    """
    config = self._config
    last = loop.next_stop(
      first,
      _ROUNDS_AT_ONCE[config.main_updates],
      config.num_steps,
      config.evaluate_every,
      config.checkpoint_every,
    )
    is_tested = loop.is_due(last, config.evaluate_every, config.num_steps)
    step = self._learner.train(first, last, self._wait, is_tested)
    if self._learner.ledger.not_finite() > self._entry.not_finite:
      self._restore_and_stop(step)
    self._report_repetitions(step)
    return step, is_tested and step == last

  def _wait(self, step, is_done):
    """Waits for the shares under way, and reports a long wait.

    Returns:
      whether the run is to go on.
    """
    start = said = time.monotonic()
    while not is_done():
      self._watchdog.sign()
      now = time.monotonic()
      if self._run.is_stopping:
        self._asked_to_stop = self._asked_to_stop or now
        if now - self._asked_to_stop > _STOP_SECONDS:
          raise run.Stopped(
            f"stopped in step {step} of {self._run.workdir}, whose shares did "
            "not come in; the same command resumes at the newest checkpoint.",
            143,
          )
      if now - said > _NOTICE_SECONDS:
        said = now
        self._run.say(self._waiting(step, now - start))
      if now - start > self._patience:
        raise Lost(f"nothing came in for {self._patience:.0f} s")
      # Short at first, so that a quick round does not wait for the chief.
      time.sleep(min(0.05, 2e-4 + 0.02 * (now - start)))
    return not self._run.is_stopping

  def _waiting(self, step, seconds):
    missing = [
      name
      for name, address in self._members.others().items()
      if not cluster.is_reachable(address)
    ]
    who = (
      f"out of reach: {', '.join(missing)}"
      if missing
      else ("all members can be reached; one may be stopped or slow")
    )
    return f"Step {step}: waiting for its shares for {seconds:.0f} s; {who}."

  def _test(self, step):
    """Tests the network as it is, and logs all numbers.

    Returns:
      dict of the test's numbers.
    """
    learner = self._learner
    learner.pull()
    with self._watchdog.paused():
      result, tested = learner.model.test(step)
    entry = learner.ledger.read()
    news, self._entry = entry.since(self._entry), entry
    row = {"train_loss": news.loss / max(news.finished, 1), **tested}
    if news.measured:
      means = news.measures / news.measured
      row.update(
        (name, float(value))
        for name, value in zip(learner.model.measure_names, means, strict=True)
        if value == value  # what is unknown is NaN
      )
    row.update(staleness_summary(news.staleness))
    row.update(self._repetitions(step))
    # What a method does not have, such as Noprop's value, stays empty.
    self._run.log(step, {**dict.fromkeys(self._columns, ""), **row})
    self._run.log_histogram("staleness", news.staleness, step)
    return result

  def _save(self, step):
    learner = self._learner
    learner.pull()
    # Weights can become infinite under a finite loss.
    if not loop.is_finite(learner.model.local.variables):
      self._restore_and_stop(step)
    with self._watchdog.paused():
      self._run.save(learner.trackables(step), step)

  def _restore_and_stop(self, step):
    """Restores the newest checkpoint and stops.

    A `Guard` cannot keep the weights here: workers write without waiting for
    each other, so by the time that one has a loss that is not finite, others
    have read and written weights that may be no better.
    """
    folder = f"{self._run.workdir}/checkpoints"
    kept = checkpoints.restore(
      self._learner.trackables(), folder, self._run.say
    )
    raise run.NotFinite(
      f"the loss is not finite before step {step} of {self._run.workdir}; the "
      f"weights of step {kept} are kept. Lower --learning_rate in another "
      "--workdir."
    )

  def _repetitions(self, step):
    """How many shares were begun or finished twice, as the server counted."""
    wanted = step * self._config.num_replicas
    started, finished = self._learner.ledger.shares()
    return {
      "begun_again": started - wanted,
      "finished_again": finished - wanted,
    }

  def _report_repetitions(self, step):
    again = tuple(self._repetitions(step).values())
    if again != self._again:
      self._again = again
      self._run.say(
        f"Step {step}: {again[0]} share(s) were begun and {again[1]} finished "
        "a second time, because their worker failed."
      )
