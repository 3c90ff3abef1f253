"""Option prices with their Greeks, from simulated payoffs.

One simulated payoff per starting price, and its pathwise derivative: noisy
labels whose mean is the price and the delta. A network that matches both learns
the pricing function from a few thousand paths (Huge & Savine, 2020).
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats

import sobolev_tf

STRIKE, VOLATILITY, YEARS = 1.0, 0.2, 1.0
rng = np.random.default_rng(0)


def black_scholes(spot):
  """Price and delta of a European call without interest."""
  total = VOLATILITY * np.sqrt(YEARS)
  d1 = np.log(spot / STRIKE) / total + total / 2
  cdf = scipy.stats.norm.cdf
  return spot * cdf(d1) - STRIKE * cdf(d1 - total), cdf(d1)


spot = rng.uniform(0.5, 1.5, [2048, 1])
shock = rng.normal(size=[2048, 1])
growth = np.exp(
  -(VOLATILITY**2) / 2 * YEARS + VOLATILITY * np.sqrt(YEARS) * shock
)
payoff = np.maximum(spot * growth - STRIKE, 0)
pathwise = np.where(payoff > 0, growth, 0)  # d payoff / d spot

test = np.linspace(0.6, 1.4, 200)[:, np.newaxis]
price, delta = black_scholes(test[:, 0])
errors, found = {}, {}
for name, weight in (("values alone", 0), ("values and deltas", 1.0)):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential(
    [dense(20, "softplus"), dense(20, "softplus"), dense(1)]
  )
  model = sobolev_tf.SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(0.03), derivative_weights=weight)
  model.fit_full_batch(spot, (payoff, pathwise), updates=600)
  found[name] = model.predict_with_derivatives(test)
  errors[name] = np.sqrt(np.mean((found[name][1][:, 0, 0] - delta) ** 2))
  print(f"{name}: RMSE of delta {errors[name]:.4f}")
assert errors["values and deltas"] < 0.03, errors
assert errors["values and deltas"] < 0.7 * errors["values alone"], errors

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
axes[0].plot(spot, payoff, ",", color="grey", label="simulated payoffs")
axes[0].plot(test, price, "k", label="Black-Scholes")
axes[1].plot(test, delta, "k", label="Black-Scholes")
for style, (name, (y, dy)) in zip(("--", ":"), found.items(), strict=True):
  axes[0].plot(test, y, style, label=name)
  axes[1].plot(test, dy[:, 0, 0], style, label=name)
axes[0].set(xlabel="spot price", ylabel="price", ylim=(-0.05, 0.6))
axes[1].set(xlabel="spot price", ylabel="delta")
axes[0].legend()
figure.suptitle("A call option from 2,048 simulated paths")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
