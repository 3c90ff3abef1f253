"""Surrogates as their own users would write them.

Each function takes x `[N, d]`, y `[N, 1]`, dy `[N, d]` and a seed, trains, and
returns a function of x to values `[N, 1]` and gradients `[N, d]`. The lines
between the two comments are what a user types.
"""

import inspect

import numpy as np


def ours(x, y, dy, seed):
  """`fit_surrogate`, with nothing but the data."""
  import sobolev_tf

  # begin
  model = sobolev_tf.fit_surrogate(x, y, dy, seed=seed)
  predict = model.predict_with_derivatives
  # end
  return lambda x: (predict(x)[0], predict(x)[1][:, 0])


def ours_without(x, y, dy, seed):
  """`fit_surrogate` without the derivatives: L-BFGS on values alone."""
  del dy
  import sobolev_tf

  # begin
  model = sobolev_tf.fit_surrogate(x, y, seed=seed)
  predict = model.predict_with_derivatives
  # end
  return lambda x: (predict(x)[0], predict(x)[1][:, 0])


def jenn(x, y, dy, seed):
  """JENN with two layers of 12, normalisation on, all else its default."""
  import jenn

  # begin
  model = jenn.NeuralNet([x.shape[1], 12, 12, 1])
  model.fit(
    x.T,
    y.T,
    dy.T[np.newaxis],
    is_normalize=True,
    random_state=seed,
  )
  # end
  return lambda x: (model.predict(x.T).T, model.predict_partials(x.T)[0].T)


def genn(x, y, dy, seed):
  """SMT's GENN at its defaults."""
  from smt.surrogate_models import GENN

  # begin
  model = GENN(seed=seed)
  model.load_data(x, y, dy)
  model.train()
  # end
  return _of_smt(model)


def genn_as_tested(x, y, dy, seed):
  """SMT's GENN with the settings of SMT's own test."""
  from smt.surrogate_models import GENN

  # begin
  model = GENN(
    alpha=0.01,
    lambd=0.01,
    num_iterations=5000,
    is_backtracking=True,
    seed=seed,
  )
  model.load_data(x, y, dy)
  model.train()
  # end
  return _of_smt(model)


def gekpls(x, y, dy, seed):
  """SMT's gradient-enhanced kriging with partial least squares."""
  del seed
  from smt.surrogate_models import GEKPLS

  # begin
  components = min(x.shape[1], 2)
  model = GEKPLS(
    n_comp=components,
    theta0=[1e-2] * components,
    xlimits=np.stack([x.min(axis=0), x.max(axis=0)], axis=1),
    extra_points=1,
    print_global=False,
  )
  model.set_training_values(x, y)
  for i in range(x.shape[1]):
    model.set_training_derivatives(x, dy[:, i : i + 1], i)
  model.train()
  # end
  return _of_smt(model)


def kriging(x, y, dy, seed):
  """SMT's kriging, which uses values alone."""
  del dy, seed
  from smt.surrogate_models import KRG

  # begin
  model = KRG(theta0=[1e-2] * x.shape[1], print_global=False)
  model.set_training_values(x, y)
  model.train()
  # end
  return _of_smt(model)


def differential_network(x, y, dy, seed):
  """The notebooks' method: four layers of 20 softplus units, one-cycle Adam.

  Values and derivatives are normalised, each derivative component by its root
  mean square, and weighed 1/(1+d) and d/(1+d); 100 epochs of 16 batches with
  a learning rate that rises from 1e-8 to 0.1 and falls to 1e-8.
  """
  import tensorflow as tf

  # begin
  d = x.shape[1]
  x_mean, x_scale, y_mean, y_scale = x.mean(0), x.std(0), y.mean(), y.std()
  z, u = (x - x_mean) / x_scale, (y - y_mean) / y_scale
  du = dy * x_scale / y_scale
  size = np.sqrt((du**2).mean(0))
  rng = np.random.default_rng(seed)
  sizes = [d, 20, 20, 20, 20, 1]
  parameters = [
    tf.Variable(rng.normal(size=[m, n]) / np.sqrt(m), dtype=tf.float32)
    for m, n in zip(sizes[:-1], sizes[1:], strict=True)
  ] + [tf.Variable(tf.zeros([n])) for n in sizes[1:]]

  def network(z):
    h = z
    for layer in range(5):
      h = h @ parameters[layer] + parameters[5 + layer]
      h = tf.nn.softplus(h) if layer < 4 else h
    return h

  def both(z):
    with tf.GradientTape() as tape:
      tape.watch(z)
      value = network(z)
    return value, tape.gradient(value, z)

  optimizer = tf.keras.optimizers.Adam(1e-3)
  optimizer.build(parameters)

  @tf.function
  def step(z, u, du, rate):
    optimizer.learning_rate = rate
    with tf.GradientTape() as tape:
      value, slope = both(z)
      value_loss = tf.reduce_mean((value - u) ** 2)
      slope_loss = tf.reduce_mean(((slope - du) / size) ** 2)
      loss = (value_loss + d * slope_loss) / (1 + d)
    optimizer.apply(tape.gradient(loss, parameters), parameters)

  z, u, du, size = (tf.cast(a, tf.float32) for a in (z, u, du, size))
  batch = max(min(256, len(x)), len(x) // 16)
  for epoch in range(100):
    rate = np.interp(epoch / 100, [0, 0.2, 0.6, 0.9, 1], _ONE_CYCLE)
    order = rng.permutation(len(x))
    for first in range(0, len(x), batch):
      rows = order[first : first + batch]
      data = (tf.gather(a, rows) for a in (z, u, du))
      step(*data, tf.constant(rate, tf.float32))

  def predict(x):
    value, slope = both(tf.cast((x - x_mean) / x_scale, tf.float32))
    return value * y_scale + y_mean, slope * y_scale / x_scale

  # end
  return lambda x: tuple(term.numpy() for term in predict(x))


_ONE_CYCLE = (1e-8, 0.1, 0.01, 1e-6, 1e-8)

RIVALS = {
  "ours": ours,
  "ours without dy": ours_without,
  "JENN": jenn,
  "SMT GENN": genn,
  "SMT GENN, its test's settings": genn_as_tested,
  "SMT GEKPLS": gekpls,
  "SMT kriging": kriging,
  "differential network": differential_network,
}
# Kriging solves systems as large as the data; backtracking takes minutes.
LARGEST = {
  "SMT GEKPLS": 500,
  "SMT kriging": 500,
  "SMT GENN, its test's settings": 500,
}


def lines_of(rival):
  """How many lines a user types."""
  source = inspect.getsource(rival).splitlines()
  first, last = (
    next(i for i, line in enumerate(source) if line.strip() == mark)
    for mark in ("# begin", "# end")
  )
  return sum(bool(line.strip()) for line in source[first + 1 : last])


def _of_smt(model):
  def predict(x):
    partials = [model.predict_derivatives(x, i) for i in range(x.shape[1])]
    return model.predict_values(x), np.concatenate(partials, axis=1)

  return predict
