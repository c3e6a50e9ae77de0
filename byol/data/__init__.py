"""Images by name: `load_data("fashion-mnist-8k")`, or `load_data("folder:photos")`. Imports no torch.

Read first: load.py (what a data set is, and how a name becomes one). named_sets.py, image_files.py and
parquet_images.py know the sources, decoding.py reads single images. streaming.py, which does import torch,
makes training batches of a set too large for memory.
"""

from byol.data.decoding import DataError, Labels, Pixels
from byol.data.load import ImageData, Images, StreamedImages, labelled_bank, load_data

__all__ = [
    "DataError",
    "ImageData",
    "Images",
    "Labels",
    "Pixels",
    "StreamedImages",
    "labelled_bank",
    "load_data",
]
