"""Kinds of labels along directions of the user's own: jvp, vjp, hvp, vhvp.

What adjoint codes, tangent codes and force fields give is not a Jacobian, but
products with it: `J u`, `v^T J`, `H u`, `v^T H u`.
"""

import typing


class Kind(typing.NamedTuple):
  """What one kind of label is made of: its directions, then the product.

  Attributes:
    order: of the derivative that is multiplied.
    sides: of the directions and of the product: "in", shaped as x, or "out",
      shaped as y.
    formula: for messages.
  """

  order: int
  sides: tuple
  formula: str


KINDS = {
  "jvp": Kind(1, ("in", "out"), "(u, J u)"),
  "vjp": Kind(1, ("out", "in"), "(v, v^T J)"),
  "hvp": Kind(2, ("in", "in"), "(u, H u)"),
  "vhvp": Kind(2, ("out", "in", "in"), "(v, u, v^T H u)"),
}
