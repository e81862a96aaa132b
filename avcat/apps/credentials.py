"""C2PA content credentials: a signed statement inside the file that a program redrew it, and which program.

It shows who signed the file and what was done, and whether the file was changed since. The signature has no time stamp
of an authority, since the program does not access the internet.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.media.pictures import png

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# IPTC's terms: a camera picture in which a trained model redrew a part, and a picture fully made by a model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
DRAWN_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
DONE = "A neural network redrew the mouths of people shown, so that they seem to say another sound."
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class Credentials:
    """The signer's certificates and key."""

    chain: str  # certificates in PEM, the signer's first
    key: str  # the signer's private key in PEM
    algorithm: str  # C2PA's name: es256, ps256, ed25519 ...


def load_credentials(chain: Path, key: Path) -> Credentials:
    """Reads a certificate chain and its key, both PEM, and signs a trial picture with them.

    Raises InputError if the extra `credentials` is missing, a file cannot be read, the two do not belong together,
    or C2PA does not accept the certificate (self-signed, or expired).
    """
    try:
        import c2pa  # noqa: F401
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )
    except ImportError as error:
        raise InputError(
            f"--credentials needs packages that are not installed ({error}): pip install 'avcat[credentials]'"
        ) from None
    chain_pem, key_pem = _text(chain), _text(key)
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem)
    except ValueError:
        raise InputError(f"{chain}: holds no certificate in PEM") from None
    try:
        private = load_pem_private_key(key_pem, None)
    except TypeError:
        raise InputError(f"{key}: is locked with a passphrase; give a key without one") from None
    except Exception:  # ValueError, UnsupportedAlgorithm, and errors of OpenSSL
        raise InputError(f"{key}: holds no private key in PEM") from None
    if private.public_key() != certificates[0].public_key():
        raise InputError(f"{key}: does not belong to the first certificate of {chain}")
    algorithm = _algorithm(key, private)
    # Serialised again: files of OpenSSL have lines of any encoding between the blocks.
    chain_text = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    key_text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    credentials = Credentials(chain_text, key_text, algorithm)
    try:
        _try(credentials)
    except Exception as error:
        raise InputError(f"{chain}: cannot sign content credentials ({_reason(error)})") from None
    return credentials


@contextmanager
def signing(out: Path, credentials: Credentials | None) -> Iterator[Path]:
    """Yields the path to write an MP4 file to; on success it is signed and renamed to `out`. None signs nothing.

    On failure no file is left. Raises InputError if signing fails.
    """
    if credentials is None:
        yield out
        return
    with atomic_path(out) as signed:
        unsigned = signed.with_suffix(".unsigned.mp4")
        try:
            try:
                yield unsigned
            except InputError as error:  # report the file name that the user knows
                raise InputError(str(error).replace(str(unsigned), str(out))) from error
            try:
                with unsigned.open("rb") as source, signed.open("w+b") as target:
                    _sign(credentials, manifest(out.name), "video/mp4", source, target)
            except Exception as error:
                raise InputError(f"{out}: cannot be signed ({_reason(error)})") from error
        finally:
            unsigned.unlink(missing_ok=True)


def manifest(title: str) -> dict[str, Any]:
    """The signed statement as C2PA's JSON: a composite of a source and the output of a trained model."""
    program = {"name": "avcat", "version": version("avcat")}
    created = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": program}
    drawn = {
        "action": "c2pa.edited",
        "digitalSourceType": DRAWN_TYPE,
        "softwareAgent": program,
        "description": DONE,
    }
    return {
        "title": title,
        "format": "video/mp4",
        "claim_generator_info": [program],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created, drawn]}}],
    }


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None


def _algorithm(path: Path, key: "PrivateKeyTypes") -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return "ps256"
    raise InputError(f"{path}: C2PA has no signature with such a key; it takes P-256, P-384, P-521, Ed25519 and RSA")


def _try(credentials: Credentials) -> None:
    """Signs a tiny picture, so that errors are found before a video is made."""
    picture = io.BytesIO(png(np.zeros((8, 8, 3), np.uint8)))
    _sign(credentials, {**manifest("trial"), "format": "image/png"}, "image/png", picture, io.BytesIO())


def _sign(credentials: Credentials, content: dict[str, Any], kind: str, source: io.IOBase, target: io.IOBase) -> None:
    import c2pa

    info = c2pa.C2paSignerInfo(
        credentials.algorithm.encode(), credentials.chain.encode(), credentials.key.encode(), None
    )
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(content) as builder:
        builder.sign(signer, kind, source, target)


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
