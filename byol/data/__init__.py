"""Image sources by name: `load_data("fashion-mnist-8k")`, or `"folder:photos"`. Imports no torch."""

from byol.data.decoding import DataError
from byol.data.load import ImageData, Images, StreamedImages, load_data

__all__ = ["DataError", "ImageData", "Images", "StreamedImages", "load_data"]
