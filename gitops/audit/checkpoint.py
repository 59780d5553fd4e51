"""Heads of the log as C2SP signed notes with Ed25519: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint.

What has two spellings is refused: another base64, another newline, another number form.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gitops.errors import InputError

_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_HASH_BYTES = 32
_KEY_BYTES = 32
_ID_BYTES = 4
_MAX_SIGNATURES = 16
_PRIVATE = "PRIVATE+KEY+"
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Checkpoint:
    """A head: what the log was at one size.

    Args:
        origin: the log's name, `<host>/audit/<instance-uuid>`.
        size: number of entries.
        root: the tree's root over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text that is signed, with its final newline."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name.

    Args:
        name: the key's name; Launchpin's logs use their origin.
        public: 32 bytes as in RFC 8032.
    """

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature; no proof of anything."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The verifier key as people pass it on: `name+hash+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + self.public)}"


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name; its secret is in no representation.

    Args:
        name: the key's name; Launchpin's logs use their origin.
        seed: the 32 secret bytes of RFC 8032.
    """

    name: str
    seed: bytes = field(repr=False)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, public.public_bytes_raw())

    def to_secret_text(self) -> str:
        """Write the private key as `PRIVATE+KEY+name+hash+base64`, for a file that only its owner reads."""
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{_encode(_ED25519 + self.seed)}"


@dataclass(frozen=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A note whose form is right and whose signatures nobody has checked yet."""

    unverified: Checkpoint
    signatures: tuple[Signature, ...]


def generate_key(name: str) -> SigningKey:
    """Make a new key.

    Args:
        name: the log's origin; no spaces, no plus.

    Raises:
        InputError: a name that no note can carry.
    """
    return SigningKey(_check_name(name), Ed25519PrivateKey.generate().private_bytes_raw())


def parse_signing_key(text: str) -> SigningKey:
    """Read what `to_secret_text` wrote; a final newline is no part of it.

    Raises:
        InputError: anything else; the message holds nothing of the key.
    """
    if not text.startswith(_PRIVATE):
        raise InputError("audit_key", f"a signing key begins with {_PRIVATE}")
    name, key_id, seed = _split_key(text.removeprefix(_PRIVATE))
    key = SigningKey(name, seed)
    if key.verifier.key_id.hex() != key_id:
        raise InputError("audit_key", "the signing key's hash is not that of its name and public key")
    return key


def parse_verifier_key(text: str) -> VerifierKey:
    """Read `name+hash+base64`; a final newline is no part of it.

    Raises:
        InputError: anything but the one spelling of an Ed25519 verifier key.
    """
    name, key_id, public = _split_key(text)
    key = VerifierKey(name, public)
    if key.key_id.hex() != key_id:
        raise InputError("audit_key", f"the key of {name} does not have the hash {key_id}")
    return key


def sign(head: Checkpoint, key: SigningKey) -> str:
    """Return the signed note of a head: text, blank line, one signature line.

    Raises:
        InputError: the head cannot be written as a checkpoint.
    """
    if not head.origin or not head.origin.isprintable() or len(head.root) != _HASH_BYTES:
        raise InputError("audit_note", "a checkpoint needs a printable origin and a root of 32 bytes")
    if not _SIZE.fullmatch(str(head.size)):
        raise InputError("audit_note", f"{head.size} is no tree size")
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(head.text.encode())
    return f"{head.text}\n{_DASH}{key.name} {_encode(key.verifier.key_id + signature)}\n"


def parse_note(unverified_note: str) -> Note:
    """Read a note's form without believing it.

    Raises:
        InputError: anything but three lines, a blank line, and 1 to 16 signature lines, each ended by one newline.
    """
    lines = unverified_note.split("\n")
    text, signatures = lines[:3], lines[4:-1]
    if len(lines) < 6 or lines[3] or lines[-1] or len(signatures) > _MAX_SIGNATURES:  # noqa: PLR2004 - the form above
        raise InputError("audit_note", "a checkpoint has three lines, a blank line and 1 to 16 signature lines")
    if not text[0] or not text[0].isprintable():
        raise InputError("audit_note", "the checkpoint's origin is empty or not printable")
    if not _SIZE.fullmatch(text[1]):
        raise InputError("audit_note", "the checkpoint's size is not a plain decimal number")
    root = _decode(text[2], _HASH_BYTES, "the checkpoint's root")
    return Note(Checkpoint(text[0], int(text[1]), root), tuple(_parse_signature(line) for line in signatures))


def open_note(unverified_note: str, *keys: VerifierKey) -> Checkpoint:
    """Return the head that a note states, if one of these keys signed it.

    Signatures by other keys are ignored, as the specification asks: witnesses may add theirs.

    Args:
        unverified_note: the whole note with its final newline.
        keys: the keys to trust.

    Raises:
        InputError: wrong form (`audit_note`), or no valid signature by a given key (`audit_signature`).
    """
    note = parse_note(unverified_note)
    known = {(key.name, key.key_id): key for key in keys}
    trusted = [(known[s.name, s.key_id], s) for s in note.signatures if (s.name, s.key_id) in known]
    if not trusted:
        raise InputError("audit_signature", "none of the trusted keys signed this checkpoint")
    for key, signature in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature.signature, note.unverified.text.encode())
        except InvalidSignature as error:
            raise InputError("audit_signature", f"the signature of {key.name} does not match the checkpoint") from error
    return note.unverified


def _parse_signature(line: str) -> Signature:
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not separator:
        raise InputError("audit_note", "a signature line is an em dash, the key's name and base64")
    raw = _decode(encoded, None, "a signature")
    if len(raw) <= _ID_BYTES:
        raise InputError("audit_note", "a signature is too short")
    return Signature(_check_name(name), raw[:_ID_BYTES], raw[_ID_BYTES:])


def _split_key(text: str) -> tuple[str, str, bytes]:
    """Return name, written hash and the 32 bytes of a key's text."""
    parts = text.split("+", 2)  # base64 may hold a plus of its own
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):  # noqa: PLR2004 - name, hash, key
        raise InputError("audit_key", "a key is written name+hash+base64, the hash being eight hex digits")
    raw = _decode(parts[2], 1 + _KEY_BYTES, "the key")
    if raw[:1] != _ED25519:
        raise InputError("audit_key", "the key is not an Ed25519 key")
    return _check_name(parts[0]), parts[1], raw[1:]


def _check_name(name: str) -> str:
    if not name or "+" in name or not name.isprintable() or any(letter.isspace() for letter in name):
        raise InputError("audit_key", "a key's name is not empty and holds neither spaces, plus nor control characters")
    return name


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decode(text: str, length: int | None, what: str) -> bytes:
    """Decode standard base64 in its one spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError("audit_note", f"{what} is not base64") from error
    if _encode(raw) != text or (length is not None and len(raw) != length):
        raise InputError("audit_note", f"{what} is not in the one form that base64 gives it")
    return raw
