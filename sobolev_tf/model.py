"""`SobolevModel`, the Keras way into Sobolev training."""

import inspect
import numbers
import typing

import keras
import tensorflow as tf

from sobolev_tf.derivatives.arguments import check_whole
from sobolev_tf.labels import incoming
from sobolev_tf.training import full_batch
from sobolev_tf.training.column_moments import warn_of_rounding
from sobolev_tf.training.known_metrics import EveryOrderHasLabels
from sobolev_tf.training.objective_model import ObjectiveModel
