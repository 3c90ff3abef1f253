"""The training step of Figure 2 as other libraries' users would write it.

Each function returns a callable that makes `num_steps` updates, and that does
not return before they are done. All use the network 2-256-256-1 with ReLU,
full batches, Adam at 3e-5 and the loss of Eq. (1), in float32; JENN has
float64 only.
"""

import numpy as np

HIDDEN = (256, 256)
LEARNING_RATE = 3e-5


def jax_steps(x, y, dy, sobolev, num_steps):
  """JAX: the whole loop is one compiled `lax.scan`."""
  import jax
  import jax.numpy as jnp

  sizes = (x.shape[1], *HIDDEN, 1)
  keys = jax.random.split(jax.random.key(0), len(sizes))
  parameters = [
    (jax.random.normal(key, (m, n)) / m**0.5, jnp.zeros(n))
    for key, m, n in zip(keys, sizes[:-1], sizes[1:], strict=False)
  ]

  def network(parameters, x):
    h = x
    for layer, (w, b) in enumerate(parameters):
      h = h @ w + b
      if layer < len(parameters) - 1:
        h = jax.nn.relu(h)
    return h  # [B, 1]

  def loss(parameters, x, y, dy):
    if not sobolev:
      return jnp.sum((network(parameters, x) - y) ** 2) / len(x)
    # Examples are independent: the gradient of the sum over the batch.
    value, pullback = jax.vjp(lambda z: network(parameters, z), x)
    (gradient,) = pullback(jnp.ones_like(value))
    error = jnp.sum((value - y) ** 2) + jnp.sum((gradient - dy[:, 0]) ** 2)
    return error / len(x)

  def update(state, _):
    parameters, m, v, step = state
    step = step + 1
    gradients = jax.grad(loss)(parameters, x, y, dy)
    tree = jax.tree.map
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    parameters = tree(
      lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, m, v
    )
    return (parameters, m, v, step), None

  @jax.jit
  def loop(state):
    return jax.lax.scan(update, state, None, length=num_steps)[0]

  x, y, dy = jnp.asarray(x), jnp.asarray(y), jnp.asarray(dy)
  zeros = jax.tree.map(jnp.zeros_like, parameters)
  state = [(parameters, zeros, zeros, jnp.zeros(()))]

  def call():
    state[0] = jax.block_until_ready(loop(state[0]))

  return call


def torch_steps(x, y, dy, sobolev, num_steps, compiled=False):
  """PyTorch with its fused Adam: eager, or the loss and its gradients compiled.

  `torch.compile` does not trace `backward` of a graph that holds gradients, so
  both differentiations are those of `torch.func`.
  """
  import torch

  layers, size = [], x.shape[1]
  for units in HIDDEN:
    layers += [torch.nn.Linear(size, units), torch.nn.ReLU()]
    size = units
  network = torch.nn.Sequential(*layers, torch.nn.Linear(size, 1))
  optimizer = torch.optim.Adam(
    network.parameters(), lr=LEARNING_RATE, fused=True
  )
  x, y, dy = (torch.from_numpy(array.copy()) for array in (x, y, dy))
  parameters = dict(network.named_parameters())

  def loss_of(parameters):
    def value_at(z):
      value = torch.func.functional_call(network, parameters, (z,))
      return value.sum(), value

    if not sobolev:
      return ((value_at(x)[1] - y) ** 2).sum() / len(x)
    gradient, value = torch.func.grad(value_at, has_aux=True)(x)
    errors = ((value - y) ** 2).sum() + ((gradient - dy[:, 0]) ** 2).sum()
    return errors / len(x)

  if compiled:
    gradients_at = torch.compile(torch.func.grad(loss_of))

    def compiled_call():
      for _ in range(num_steps):
        with torch.no_grad():
          gradients = gradients_at(parameters)
        for name, parameter in parameters.items():
          parameter.grad = gradients[name]
        optimizer.step()

    return compiled_call

  x.requires_grad_(sobolev)

  def call():
    for _ in range(num_steps):
      optimizer.zero_grad()
      value = network(x)
      loss = ((value - y) ** 2).sum()
      if sobolev:
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        loss = loss + ((gradient - dy[:, 0]) ** 2).sum()
      (loss / len(x)).backward(inputs=list(network.parameters()))
      optimizer.step()

  return call


def jenn_steps(x, y, dy, sobolev, num_steps, activation="relu"):
  """JENN: NumPy, with its own Adam; its default activation is tanh."""
  import jenn

  # JENN keeps examples in columns; `max_iter` counts updates per batch.
  x, y = x.T.astype(np.float64), y.T.astype(np.float64)
  partials = dy.transpose(1, 2, 0).astype(np.float64) if sobolev else None
  model = jenn.NeuralNet([len(x), *HIDDEN, 1], hidden_activation=activation)

  def call():
    model.fit(
      x,
      y,
      partials,
      alpha=LEARNING_RATE,
      epochs=1,
      batch_size=None,
      max_iter=num_steps,
      is_normalize=True,
      is_backtracking=False,
    )

  return call
