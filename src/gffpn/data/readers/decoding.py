"""Decoding of annotation files in the encoding that they declare."""

import codecs
import re

# byte order marks, and the first sign of XML and JSON in UTF-16 without one (XML 1.0, appendix F)
_STARTS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
    b"{\0": "utf-16-le",
    b"\0{": "utf-16-be",
}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.-]+)["']""", re.ASCII)


def decoded(raw: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    The encoding is that of the mark or of the XML declaration, and otherwise UTF-8. Raises ValueError if the
    file is not in this encoding, or if the encoding is unknown.
    """
    encoding, declared = _encoding(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        cure = "save it as UTF-8" if declared else "save it as UTF-8 or declare its encoding, if it is XML"
        raise ValueError(
            f"not readable as {encoding}: {error.reason} at byte {error.start}: {cure}"
        ) from error
    except LookupError as error:
        raise ValueError(f"declares the unknown encoding {encoding!r}: save it as UTF-8") from error


def decoded_start(raw: bytes) -> str:
    """Return the text of a part of a file from its beginning, with a sign for what cannot be read."""
    try:
        return raw.decode(_encoding(raw)[0], "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def _encoding(raw: bytes) -> tuple[str, bool]:
    """Return the encoding of a file, and whether the file declares it."""
    for start, encoding in _STARTS.items():
        if raw.startswith(start):
            return encoding, True
    match = _DECLARED.match(raw)
    declared = match[1].decode() if match else ""
    # a declaration that can be read byte by byte is not in UTF-16, as some programs claim
    if not declared or declared.lower().startswith(("utf-16", "utf-32", "ucs")):
        return "utf-8", False
    return declared, True
