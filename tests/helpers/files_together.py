"""Market files that are read together and alone: the same rows, problems and facts."""

import dataclasses

import pandas as pd

from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from quant_pipeline.market.sources.files.reading_together import read_together
from quant_pipeline.market.sources.files.rooms import Rooms
from tests.helpers.bar_texts import HEADER, rows

AUTO = FilesMarketParameters()
NAMES = ("AAA", "bbb", "CC.US", "sh600000")


def require_same(one, other, but=()):
    for field in dataclasses.fields(one):
        if field.name not in ("held", *but):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert (one.rows is None) == (other.rows is None)
    if one.rows is not None:
        pd.testing.assert_frame_equal(one.rows, other.rows, check_exact=True)


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, content in enumerate(contents):
        file = folder / f"{NAMES[number % len(NAMES)]}{number // len(NAMES) or ''}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        files.append(file)
    return files


def read_files(files, folder, options=AUTO):
    return list(ReadingCache(None).read_all(files, folder, options))


def require_alone_and_together(files, folder, options=AUTO):
    by_kernels = read_together(files, folder, options, rooms=Rooms())
    for reading, file in zip(read_files(files, folder, options), files, strict=True):
        alone = read_file(file, folder, options)
        require_same(reading, alone, but=["head"])
        if file in by_kernels:
            require_same(by_kernels[file], alone, but=["head"])
        # Texts have no head: what was added to them is not read alone.
        require_same(alone, read_file(file, folder, options, as_text=True), but=["head"])


PLAIN = "\n".join([HEADER, *rows()]) + "\n"
