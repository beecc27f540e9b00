"""What a file really is, by its first bytes, and its text in whatever encoding it came."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from enum import StrEnum
from pathlib import PurePosixPath

from quant_pipeline.common.exceptions import AccountError

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "$recycle.bin", "__macosx")
_UNFINISHED = (".tmp", ".part", ".crdownload", ".download", ".lock", ".bak~")
_OTHER_DOCUMENTS = (
    ".pdf", ".txt", ".md", ".rst", ".doc", ".docx", ".rtf", ".odt", ".eml", ".msg", ".png", ".jpg", ".jpeg", ".gif",
    ".heic",
    ".ini", ".log", ".db", ".url", ".webloc", ".lnk", ".py", ".sh", ".yml", ".yaml",
)  # fmt: skip


class Content(StrEnum):
    """What the bytes of a statement are."""

    TEXT = "text"
    WORKBOOK = "workbook"
    XML = "xml"


def is_system_file(name: str) -> bool:
    """Whether a file was left by an operating system, an editor or a download, not put there by the user."""
    parts = PurePosixPath(name).parts
    return (
        any(part.lower() in _SYSTEM_FILES or part[0] in ".~" for part in parts)
        or PurePosixPath(name).suffix.lower() in _UNFINISHED
    )


def is_other_document(name: str) -> bool:
    """Whether the name is that of a document which no format of statements is made of."""
    return PurePosixPath(name).suffix.lower() in _OTHER_DOCUMENTS


def content_of(name: str, content: bytes) -> Content:
    """Tell what a file is.

    Raises
    ------
    AccountError
        When it is something that cannot be read; the message says what it is and what to do.
    """
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content.startswith(b"PK\x03\x04"):
        return _zip_content(name, content)
    if content.startswith(_OLE):
        raise AccountError(_ole_advice(name, content))
    advice = {
        b"%pdf": "a PDF; export the statement as CSV or xlsx",
        b"\x1f\x8b": "compressed (gzip); unpack it",
        b"{\\rtf": "a text document (RTF); export the statement as CSV",
        b"[": "JSON; export the statement as CSV",
        b"{": "JSON; export the statement as CSV",
    }
    for start, what in advice.items():
        if head.startswith(start):
            raise AccountError(f"{name} is {what}")
    if head.startswith((b"<!doctype html", b"<html", b"<table", b"<head", b"<meta")):
        raise AccountError(_html_advice(name))
    if head.startswith((b"<?xml", b"<flexqueryresponse")):
        if b"<html" in head:
            raise AccountError(_html_advice(name))
        if b"urn:schemas-microsoft-com:office:spreadsheet" in head:
            raise AccountError(f"{name} is an XML spreadsheet of Excel 2003; open it and save it as xlsx")
        return Content.XML
    return Content.TEXT


def _zip_content(name: str, content: bytes) -> Content:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except zipfile.BadZipFile:
        raise AccountError(f"{name} is damaged, its end is missing; export or download it again") from None
    if "xl/workbook.xml" in names:
        return Content.WORKBOOK
    if "xl/workbook.bin" in names:
        raise AccountError(f"{name} is a binary workbook (xlsb); save it as xlsx")
    if "content.xml" in names:
        raise AccountError(f"{name} is an OpenDocument sheet; save it as xlsx")
    raise AccountError(f"{name} is a zip archive; unpack it into the folder of the statements")


def _ole_advice(name: str, content: bytes) -> str:
    old = "Workbook".encode("utf-16-le") in content or "Book\0".encode("utf-16-le") in content
    if old and "EncryptedPackage".encode("utf-16-le") not in content:
        return f"{name} is a workbook of Excel 97-2003 (xls); open it and save it as xlsx or CSV"
    if name.lower().endswith(".xls"):
        return f"{name} is an old or password-protected workbook; open it and save it as xlsx without a password"
    return f"{name} is protected by a password; save it without one"


def _html_advice(name: str) -> str:
    if name.lower().endswith(".xlsx"):
        return f"{name} is no workbook (it is HTML); open it and save it as xlsx"
    return (
        f"{name} is a page (HTML), not a statement; open it in a spreadsheet and save it as xlsx, or export it as CSV"
    )


def text_of(name: str, content: bytes, encoding: str) -> str:
    """Decode a text: by its byte order mark, else as UTF-8, else by the encoding of its format.

    Raises
    ------
    AccountError
        When neither reads it; the message names what it looks like.
    """
    for mark, marked in _BOMS:
        if content.startswith(mark):
            return _decoded(name, content, marked)
    if 0 in content:
        # Text in one or two bytes has no zeros; they are the upper halves of its digits and commas.
        return _decoded(name, content, "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
            raise _another_encoding(name, content, encoding, error) from error
    return _decoded(name, content, encoding)


def _decoded(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _another_encoding(name, content, encoding, error) from error


def _another_encoding(name: str, content: bytes, encoding: str, error: UnicodeDecodeError) -> AccountError:
    return AccountError(
        f"{name} is not {encoding} (byte {error.start}); it looks like {_likely(content)}: set the `encoding` of its "
        "format"
    )


def _likely(content: bytes) -> str:
    from charset_normalizer import from_bytes

    if not re.search(rb"[\x80-\xff]{2}", content):
        # Bytes beyond ASCII that stand alone are letters with accents; Chinese takes two for each character.
        return "cp1252"
    best = from_bytes(content[:100_000]).best()
    return "no known encoding" if best is None else best.encoding.replace("_", "-")
