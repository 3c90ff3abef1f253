"""JPEG files to training and test pictures, as Inception-V1 had them (SM §4.3).

A training picture is a random part of the file, from 8 to 100 % of its area and
with sides of 3:4 to 4:3, stretched to a square and mirrored half of the time.
Only that part is decoded. A test picture is the middle, 87.5 % of each side.
"""

import tensorflow as tf

# "Distributed evenly" between these bounds (Szegedy et al. 2015, section 6).
_AREA = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)  # width to height
_ATTEMPTS = 20  # to find a part that fits; then it is the whole picture
_CENTRE = 0.875
_BRIGHTNESS, _HUE = 32 / 255, 0.2
_SATURATION = _CONTRAST = (0.5, 1.5)


def random_crop(encoded, seed, size, has_colour_distortion=False):
  """Makes a training picture.

  Args:
    encoded: a JPEG file, scalar string; grey and CMYK ones come out as RGB.
    seed: `[2]`, integers; the picture is a function of file and seed.
    size: side of the result.
    has_colour_distortion: whether brightness, saturation, hue and contrast are
      changed at random as well.

  Returns:
    uint8 `[size, size, 3]`.

  Raises:
    tf.errors.InvalidArgumentError: when run, if the file cannot be decoded.
  """
  seeds = tf.unstack(tf.random.split(seed, 3))
  shape = tf.io.extract_jpeg_shape(encoded)[:2]
  picture = _decode(encoded, *_random_part(shape, seeds[0]), size)
  picture = tf.image.stateless_random_flip_left_right(picture, seeds[1])
  if has_colour_distortion:
    picture = _distort_colours(picture / 255, seeds[2]) * 255
  return tf.cast(tf.round(picture), tf.uint8)


def central_crop(encoded, size):
  """Makes a test picture; arguments and result as of `random_crop`."""
  shape = tf.io.extract_jpeg_shape(encoded)[:2]
  extent = tf.cast(tf.round(_CENTRE * tf.cast(shape, tf.float32)), tf.int32)
  extent = tf.maximum(extent, 1)
  picture = _decode(encoded, (shape - extent) // 2, extent, size)
  return tf.cast(tf.round(picture), tf.uint8)


def _random_part(shape, seed):
  """Draws a part of a picture: its corner and its extent, each `[2]`.

  TensorFlow's `sample_distorted_bounding_box` draws a side evenly and not the
  area, and so takes smaller parts.
  """
  u = tf.random.stateless_uniform([4, _ATTEMPTS], seed)
  sides = tf.cast(shape, tf.float32)  # [2], height and width
  area = tf.reduce_prod(sides) * (_AREA[0] + u[0] * (_AREA[1] - _AREA[0]))
  aspect = _ASPECT[0] + u[1] * (_ASPECT[1] - _ASPECT[0])
  extents = tf.stack([tf.sqrt(area / aspect), tf.sqrt(area * aspect)])
  fits = tf.reduce_all(extents <= sides[:, tf.newaxis], axis=0)
  first = tf.argmax(fits)  # 0 if none fits
  extent = tf.where(fits[first], tf.round(extents[:, first]), sides)
  extent = tf.maximum(extent, 1.0)
  corner = tf.floor(u[2:, first] * (sides - extent + 1.0))
  corner = tf.minimum(corner, sides - extent)  # a product may round up
  return tf.cast(corner, tf.int32), tf.cast(extent, tf.int32)


def _decode(encoded, begin, extent, size):
  """A part of a picture as float32 `[size, size, 3]`, from 0 to 255."""
  window = tf.concat([begin, extent], axis=0)
  part = tf.io.decode_and_crop_jpeg(encoded, window, channels=3)
  return tf.image.resize(part, [size, size])


def _distort_colours(picture, seed):
  """Changes the colours of a picture from 0 to 1."""
  seeds = tf.unstack(tf.random.split(seed, 4))
  picture = tf.image.stateless_random_brightness(picture, _BRIGHTNESS, seeds[0])
  picture = tf.image.stateless_random_saturation(
    picture, *_SATURATION, seeds[1]
  )
  picture = tf.image.stateless_random_hue(picture, _HUE, seeds[2])
  picture = tf.image.stateless_random_contrast(picture, *_CONTRAST, seeds[3])
  return tf.clip_by_value(picture, 0.0, 1.0)
