"""The derivatives of `benchmarks.derivatives` as JAX and PyTorch take them.

Each function returns a dict from a name to a pair of calls: the training step
and the evaluation; a call does not return before its work is done. The network
is inputs-256-256-outputs with tanh, in float32.
"""

import numpy as np

HIDDEN = (256, 256)


def _weights(inputs, outputs):
  random, sizes = np.random.default_rng(0), (inputs, *HIDDEN, outputs)
  return [
    (random.normal(size=(m, n)) / m**0.5).astype(np.float32)
    for m, n in zip(sizes[:-1], sizes[1:], strict=True)
  ]


def _points(inputs, points, seed):
  random = np.random.default_rng(seed)
  return random.normal(size=[points, inputs]).astype(np.float32)


def jax_candidates(inputs, outputs, points, order):
  """JAX: `jax.experimental.jet`, `jvp`, `vjp`, `jacfwd` and `jacrev`."""
  import jax
  import jax.numpy as jnp
  from jax.experimental import jet as jax_jet

  parameters = [jnp.asarray(w) for w in _weights(inputs, outputs)]
  x, v = (jnp.asarray(_points(inputs, points, seed)) for seed in (1, 2))

  def network(parameters, x):
    for w in parameters[:-1]:
      x = jnp.tanh(x @ w)
    return x @ parameters[-1]

  def jets(parameters):
    series = [v, *[jnp.zeros_like(v)] * (order - 1)]
    value, terms = jax_jet.jet(
      lambda z: network(parameters, z), (x,), (series,)
    )
    return (value, *terms)

  def tangents(parameters):
    return jax.jvp(lambda z: network(parameters, z), (x,), (v,))

  def cotangents(parameters):
    value, back = jax.vjp(lambda z: network(parameters, z), x)
    return value, back(jnp.ones_like(value))[0]

  def curvatures(parameters):
    gradient = jax.grad(lambda z: network(parameters, z).sum())
    return network(parameters, x), jax.jvp(gradient, (x,), (v,))[1]

  def jacobian(mode):
    def terms(parameters):
      single = mode(lambda z: network(parameters, z))
      return network(parameters, x), jax.vmap(single)(x)

    return terms

  def trace(parameters):
    hessian = jax.hessian(lambda z: network(parameters, z)[0])
    return network(parameters, x), jnp.trace(
      jax.vmap(hessian)(x), axis1=1, axis2=2
    )

  measured = {
    "value": lambda parameters: (network(parameters, x),),
    "jet": jets,
    "jvp": tangents,
    "vjp": cotangents,
    "hvp": curvatures,
    "forward": jacobian(jax.jacfwd),
    "reverse": jacobian(jax.jacrev),
    "auto": jacobian(jax.jacfwd if inputs < outputs else jax.jacrev),
    "trace of the Hessian": trace,
  }

  def calls(terms):
    def loss(parameters):
      return sum(jnp.mean(term**2) for term in terms(parameters))

    step, last = jax.jit(jax.grad(loss)), jax.jit(lambda p: terms(p)[-1])
    return (
      lambda: jax.block_until_ready(step(parameters)),
      lambda: jax.block_until_ready(last(parameters)),
    )

  return {name: calls(terms) for name, terms in measured.items()}


def torch_candidates(inputs, outputs, points, order):
  """PyTorch: nested `torch.func.jvp`, `jacfwd` and `jacrev`, eager."""
  import torch

  parameters = tuple(
    torch.tensor(w, requires_grad=True) for w in _weights(inputs, outputs)
  )
  x, v = (torch.tensor(_points(inputs, points, seed)) for seed in (1, 2))

  def network(parameters, x):
    for w in parameters[:-1]:
      x = torch.tanh(x @ w)
    return x @ parameters[-1]

  def nested(f, order):
    """(f, f', ..., f^(K)) along v, each order through the one below."""
    if order == 0:
      return lambda z: (f(z),)

    def higher(z):
      lower, tangents = torch.func.jvp(nested(f, order - 1), (z,), (v,))
      return (*lower, tangents[-1])

    return higher

  def tangents(parameters):
    return torch.func.jvp(lambda z: network(parameters, z), (x,), (v,))

  def cotangents(parameters):
    value, back = torch.func.vjp(lambda z: network(parameters, z), x)
    return value, back(torch.ones_like(value))[0]

  def curvatures(parameters):
    gradient = torch.func.grad(lambda z: network(parameters, z).sum())
    return network(parameters, x), torch.func.jvp(gradient, (x,), (v,))[1]

  def jacobian(mode):
    def terms(parameters):
      single = mode(lambda z: network(parameters, z))
      return network(parameters, x), torch.func.vmap(single)(x)

    return terms

  def trace(parameters):
    hessian = torch.func.hessian(lambda z: network(parameters, z)[0])
    matrices = torch.func.vmap(hessian)(x)
    return network(parameters, x), torch.einsum("bii->b", matrices)

  forward = inputs < outputs
  measured = {
    "value": lambda parameters: (network(parameters, x),),
    "nested jvp": lambda parameters: nested(
      lambda z: network(parameters, z), order
    )(x),
    "jvp": tangents,
    "vjp": cotangents,
    "hvp": curvatures,
    "forward": jacobian(torch.func.jacfwd),
    "reverse": jacobian(torch.func.jacrev),
    "auto": jacobian(torch.func.jacfwd if forward else torch.func.jacrev),
    "trace of the Hessian": trace,
  }

  def calls(terms):
    def step():
      loss = sum((term**2).mean() for term in terms(parameters))
      torch.autograd.grad(loss, parameters)

    return step, lambda: terms(parameters)[-1].detach()

  return {name: calls(terms) for name, terms in measured.items()}
