"""Files of Arrow that say when they are damaged: a sum of what was written stands behind it.

Arrow's own files have none. One of which a disk, or a machine without power, lost a part may still be read, with zeros
for what is lost.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

import pyarrow as pa

from quant_pipeline.common.atomic import replacing_file

_SUM_BYTES: Final = 4


def write_checked(path: Path, table: pa.Table) -> None:
    """Write a table, with the metadata of its schema, completely or not at all.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    with replacing_file(path) as beside:
        with pa.ipc.new_file(str(beside), table.schema) as file:
            file.write_table(table)
        with pa.memory_map(str(beside)) as written:
            total = zlib.crc32(written.read_buffer())
        with beside.open("ab") as file:
            file.write(total.to_bytes(_SUM_BYTES, "little"))


def open_checked(source: pa.NativeFile) -> pa.RecordBatchFileReader:
    """Open a file that `write_checked` has written.

    Raises
    ------
    ValueError
        When it is not as it was written.
    """
    content = source.read_buffer()
    body = content.slice(0, max(content.size - _SUM_BYTES, 0))
    if zlib.crc32(body) != int.from_bytes(content.slice(body.size), "little"):
        raise ValueError("the file is not as it was written")
    return pa.ipc.open_file(body)
