"""Labels in the shapes that people have them in."""

import numpy as np
import tensorflow as tf

from sobolev_tf.labels.matching import known_rows


def test_metrics_of_values_leave_out_an_example_with_one_unknown_component():
  y = tf.constant([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan]])
  predicted = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
  known, matched, weight = known_rows(y, predicted, tf.constant([1.0, 2, 3]))
  np.testing.assert_array_equal(known, [[2, 3]])
  np.testing.assert_array_equal(matched, [[3, 4]])
  np.testing.assert_array_equal(weight, [2])
