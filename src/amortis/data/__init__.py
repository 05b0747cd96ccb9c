"""The room for data: files in, named arrays out, the rows of arrays in batches; files kept whole.

May enter: file paths, arrays by name, and the argument names of a function. May not enter: models,
guides, fits. Values are passed on as they are found; whether a model can take them (NaN, unequal
lengths) is for the model room to say.
"""

from amortis.data.archives import npz_names, read_npz
from amortis.data.atomic_write import replacing
from amortis.data.columns import Arrays
from amortis.data.comma_separated import csv_names, read_csv
from amortis.data.files import FilePath, existing_file
from amortis.data.idx import read_idx
from amortis.data.matching import UNNAMED, argument_names, match_arguments, match_names
from amortis.data.parquet import parquet_names, read_parquet
from amortis.data.read import array_names, read_arguments, read_arrays

__all__ = [
    "UNNAMED",
    "Arrays",
    "FilePath",
    "argument_names",
    "array_names",
    "csv_names",
    "existing_file",
    "match_arguments",
    "match_names",
    "npz_names",
    "parquet_names",
    "read_arguments",
    "read_arrays",
    "read_csv",
    "read_idx",
    "read_npz",
    "read_parquet",
    "replacing",
]
