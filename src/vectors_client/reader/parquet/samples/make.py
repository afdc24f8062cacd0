"""Writes the samples: the same five rows by each writer. Needs pyarrow, duckdb and polars.

    python make.py
"""

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    (7, "seven", [0.1, 2.0], ["a", "b"], 0.5, 1999, True),
    (-8, None, [3.0, -4.5], None, None, 2001, False),
    (9, "nine", [0.0, 1e-9], [], 2.0, None, None),
    (10, "ten", [5.5, 6.25], ["b"], -1.5, 1999, True),
    (11, "nine", [7.0, 8.0], ["ä", "", "b"], 0.1, 2010, False),
]
NAMES = ["id", "name", "embedding", "tags", "score", "year", "seen"]


def table(vector):
    kinds = [pa.int64(), pa.string(), vector, pa.list_(pa.string()), pa.float64(), pa.int32(), pa.bool_()]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*ROWS), kinds)]
    return pa.table(columns, NAMES)


def main():
    pq.write_table(
        table(pa.list_(pa.float32())),
        "arrow.parquet",
        row_group_size=2,
        store_schema=False,
    )
    pq.write_table(
        table(pa.list_(pa.float64(), 2)),
        "arrow_2.parquet",
        compression="zstd",
        data_page_version="2.0",
        use_dictionary=False,
        column_encoding={
            "id": "DELTA_BINARY_PACKED",
            "name": "DELTA_BYTE_ARRAY",
            "embedding.list.element": "BYTE_STREAM_SPLIT",
            "tags.list.element": "DELTA_LENGTH_BYTE_ARRAY",
            "seen": "RLE",
        },
        write_page_checksum=True,
        store_schema=False,
    )
    made = table(pa.list_(pa.float32(), 2))
    duckdb.sql("COPY made TO 'duckdb.parquet'")
    polars.from_arrow(made).write_parquet("polars.parquet", compression="zstd")


if __name__ == "__main__":
    main()
