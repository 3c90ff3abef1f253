"""ImageNet (ILSVRC 2012) through TFDS (SM §4.3)."""

from data.encoded_pictures import EncodedPictures
from data.tfds_folders import find_tfds, is_prepared, open_tfds

NAME = "imagenet2012"
VERSION = "5.1.0"


def open_imagenet(
  data_dir=None, seed=0, image_size=224, colour_distortion=False
):
  """Opens the data set.

  Args:
    data_dir: folder of TFDS' data sets; None means TFDS' own default.
    seed: of order and augmentation.
    image_size: side of the pictures; ResNet's own is 224.
    colour_distortion: whether training pictures change their colours; the
      paper names "Inception-V1 augmentation", which not everyone takes to
      include it.

  Returns:
    `EncodedPictures`.

  Raises:
    ValueError: the data set is not there, or is damaged.
  """
  folder = find_tfds(data_dir, NAME, VERSION)
  if not is_prepared(folder):
    raise ValueError(
      f"ImageNet is not in {folder}; it has no free download: put "
      "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org "
      "into DIR/downloads/manual, then python -c 'import tensorflow_datasets "
      f'as tfds; tfds.builder("{NAME}:{VERSION}", data_dir="DIR").'
      f"download_and_prepare()' makes DIR/{NAME}, and --data_dir=DIR names it."
    )
  builder = open_tfds(folder, "prepare it again")
  return EncodedPictures(builder, seed, image_size, colour_distortion)
