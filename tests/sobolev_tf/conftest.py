import keras
import pytest


@pytest.fixture
def float64():
  keras.config.set_floatx("float64")  # Of arrays that fit is given.
  keras.config.set_dtype_policy("float64")
  yield
  keras.config.set_floatx("float32")
  keras.config.set_dtype_policy("float32")
