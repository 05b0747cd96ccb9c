"""The room for data: files in, named arrays out, the rows of arrays in batches; files kept whole.

May enter: file paths, addresses of published files, arrays by name, and the argument names of a
function. May not enter: models, guides, fits. Values are passed on as they are found; whether a
model can take them (NaN, unequal lengths) is for the model room to say.
"""

from amortis.data.archives import npz_names, read_npz
from amortis.data.atomic_write import replacing
from amortis.data.columns import Arrays
from amortis.data.comma_separated import csv_names, read_csv
from amortis.data.download import DownloadProgress, PublishedFile, cache_folder, fetch
from amortis.data.files import FilePath, existing_file
from amortis.data.idx import read_idx
from amortis.data.images import (
    FASHION_MNIST,
    MNIST,
    ImageSource,
    LabelledImages,
    Part,
    load_images,
)
from amortis.data.matching import UNNAMED, argument_names, match_arguments, match_names
from amortis.data.parquet import parquet_names, read_parquet
from amortis.data.read import array_names, read_arguments, read_arrays
from amortis.data.sparse_counts import SparseCounts, read_counts

__all__ = [
    "FASHION_MNIST",
    "MNIST",
    "UNNAMED",
    "Arrays",
    "DownloadProgress",
    "FilePath",
    "ImageSource",
    "LabelledImages",
    "Part",
    "PublishedFile",
    "SparseCounts",
    "argument_names",
    "array_names",
    "cache_folder",
    "csv_names",
    "existing_file",
    "fetch",
    "load_images",
    "match_arguments",
    "match_names",
    "npz_names",
    "parquet_names",
    "read_arguments",
    "read_arrays",
    "read_counts",
    "read_csv",
    "read_idx",
    "read_npz",
    "read_parquet",
    "replacing",
]
