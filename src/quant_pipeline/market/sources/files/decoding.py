"""The content of a file as text: unpacked, and in the encoding that its marks, its header or its signs show."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa

from quant_pipeline.market.sources.files.faults import first_line_of
from quant_pipeline.market.sources.files.first_lines import first_rows, separator_of
from quant_pipeline.market.sources.files.header import count_names
from quant_pipeline.market.sources.files.raw_table import UnreadableFileError

LEGACY_ENCODINGS = ("gb18030", "big5", "shift_jis", "cp949", "cp1252", "cp1250")


def unpacked(content: bytes, name: str) -> bytes:
    """Return the content of a packed file, or the content as it is; `name` says whether it is a workbook."""
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"BZh"):
        return bz2.decompress(content)
    if content.startswith(b"\xfd7zXZ"):
        return lzma.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    if content.startswith(b"PK\x03\x04") and not name.endswith(".xlsx"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [name for name in archive.namelist() if not name.startswith("__MACOSX") and name[-1] != "/"]
            if "[Content_Types].xml" in members:
                return content
            if len(members) != 1:
                raise UnreadableFileError(f"is an archive of {len(members)} files; unpack it")
            return archive.read(members[0])
    return content


def decoded(content: bytes, encoding: str | None) -> str:
    """Return the text of some bytes, in the encoding that is named, or else the one that they show.

    Raises
    ------
    UnreadableFileError
        When they are no text.
    """
    if encoding is not None:
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except (UnicodeError, LookupError) as error:
            raise UnreadableFileError(f"is no text of `encoding: {encoding}`: {first_line_of(error)}") from error
    for mark, name in ((b"\xff\xfe\x00\x00", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(name)
    if b"\x00" in content[:4096]:
        half = "utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"
        text = content.decode(half, errors="replace")
        if "\ufffd" in text or "\x00" in text:
            raise UnreadableFileError("is no text and no table of a known kind")
        return text
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _legacy(content)


def _legacy(content: bytes) -> str:
    """Decode text that is no UTF-8 by the names in its header, else by the statistics of its signs."""
    best, most = None, 2
    for name in LEGACY_ENCODINGS:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        known = max(count_names(first_rows(text, separator_of(text)).cells), default=0)
        if known > most:
            best, most = text, known
    if best is not None:
        return best
    from charset_normalizer import from_bytes

    guess = from_bytes(content[:200_000]).best()
    if guess is None:
        raise UnreadableFileError("is no text in a known encoding; set `encoding`")
    try:
        return content.decode(guess.encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise UnreadableFileError("is no text in a known encoding; set `encoding`") from error
