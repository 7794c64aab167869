"""Z85 (RFC 32 of rfc.zeromq.org): keys as text, 40 characters for 32 bytes. Pure.

How it fails: ValueError, which does not show the text: it may be a secret.
"""

from typing import Final

KEY_BYTES: Final = 32
KEY_CHARACTERS: Final = 40
_DIGITS: Final = (
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_GROUP_BYTES, _GROUP_CHARACTERS, _GROUP_END = 4, 5, 2**32


def key_from(text: str) -> bytes:
    """The 32 bytes of a key. Raises ValueError."""
    if len(text) != KEY_CHARACTERS or not all(digit in _VALUES for digit in text):
        raise ValueError(f"allowed: a key as Z85 text of {KEY_CHARACTERS} characters")
    key = b""
    for at in range(0, KEY_CHARACTERS, _GROUP_CHARACTERS):
        group = 0
        for digit in text[at : at + _GROUP_CHARACTERS]:
            group = group * len(_DIGITS) + _VALUES[digit]
        if group >= _GROUP_END:
            raise ValueError(f"allowed: a key as Z85 text of {KEY_CHARACTERS} characters")
        key += group.to_bytes(_GROUP_BYTES, "big")
    return key


def text_of(key: bytes) -> str:
    """A key of 32 bytes as text."""
    text = ""
    for at in range(0, len(key), _GROUP_BYTES):
        group = int.from_bytes(key[at : at + _GROUP_BYTES], "big")
        digits = ""
        for _ in range(_GROUP_CHARACTERS):
            group, value = divmod(group, len(_DIGITS))
            digits = _DIGITS[value] + digits
        text += digits
    return text
