"""Content credentials, with a certificate chain made for the test and read back by C2PA's own reader."""

import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c2pa
import pytest
import soundfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from drawn import face_picture, tone, write_video
from painter import Painter

import avcat.inference.redraw
from avcat.apps.cli import main
from avcat.apps.credentials import DONE, DRAWN_TYPE, SOURCE_TYPE, Credentials, load_credentials, signing
from avcat.errors import InputError
from avcat.media.video import probe

NOW = datetime.datetime.now(datetime.UTC)
MAKERS: dict[str, Callable[[], Any]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


def certificate(
    subject: str, key: Any, issuer: str, issuer_key: Any, *, authority: bool, days: int = 30
) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
        )

    end = NOW + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(NOW, end) - datetime.timedelta(days=1))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False), critical=True
        )
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    edwards = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
    return builder.sign(issuer_key, None if edwards else hashes.SHA256())


def pem_of(key: Any, passphrase: bytes | None = None) -> bytes:
    locked = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)  # type: ignore[no-any-return]


def write_chain(folder: Path, algorithm: str = "es256", days: int = 30) -> tuple[Path, Path]:
    root_key, key = MAKERS["es256"](), MAKERS[algorithm]()
    root = certificate("Root", root_key, "Root", root_key, authority=True)
    leaf = certificate("Ada", key, "Root", root_key, authority=False, days=days)
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM))
    private.write_bytes(pem_of(key))
    return chain, private


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("credentials")
    write_video(folder / "face.mp4", iter([face_picture()] * 10))
    soundfile.write(folder / "sound.wav", tone(0.4), 16_000)
    (folder / "model.pt").write_bytes(b"PK\x05\x06" + bytes(18))  # an empty zip: the tests bring their own network
    write_chain(folder)
    return folder


@pytest.fixture(autouse=True)
def _painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avcat.inference.redraw.Redrawer, "from_checkpoint", lambda *_, **__: Painter())


def dub(files: Path, out: Path, chain: Path, key: Path) -> int:
    clip = [str(files / name) for name in ("face.mp4", "sound.wav")]
    options = ["--model", str(files / "model.pt"), "--credentials", str(chain), "--key", str(key)]
    return main(["dub", *clip, "-o", str(out), "-q", *options])


def validated(path: Path) -> dict[str, Any]:
    """The store of a file with the reader's errors: only that the test's root is not trusted."""
    with path.open("rb") as file, c2pa.Reader("video/mp4", file) as reader:
        store: dict[str, Any] = json.loads(reader.json())
    wrong = {failure["code"] for failure in store["validation_results"]["activeManifest"]["failure"]}
    assert wrong <= {"signingCredential.untrusted"}, wrong
    return store


def test_a_dubbed_clip_says_who_signed_it_and_what_was_done(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.mp4"
    assert dub(files, out, files / "chain.pem", files / "key.pem") == 0
    assert list(out.parent.iterdir()) == [out]
    assert probe(out).duration_s == pytest.approx(0.4, abs=1e-3)
    store = validated(out)
    signed = store["manifests"][store["active_manifest"]]
    assert signed["title"] == "out.mp4"
    assert signed["signature_info"]["common_name"] == "Ada"
    assert signed["claim_generator_info"][0]["name"] == "avcat"
    (actions,) = (a["data"]["actions"] for a in signed["assertions"] if a["label"].startswith("c2pa.actions"))
    assert [(action["action"], action["digitalSourceType"]) for action in actions] == [
        ("c2pa.created", SOURCE_TYPE),
        ("c2pa.edited", DRAWN_TYPE),
    ]
    assert actions[1]["description"] == DONE


def test_a_changed_file_is_found_out(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert dub(files, out, files / "chain.pem", files / "key.pem") == 0
    content = bytearray(out.read_bytes())
    middle = content.rindex(b"mdat") + 4000  # a byte of the pictures
    content[middle] ^= 1
    out.write_bytes(content)
    with pytest.raises(AssertionError, match="mismatch"):
        validated(out)


@pytest.mark.parametrize("algorithm", MAKERS)
def test_keys_of_every_kind_sign(algorithm: str, files: Path, tmp_path: Path) -> None:
    chain, key = write_chain(tmp_path, algorithm)
    credentials = load_credentials(chain, key)
    assert credentials.algorithm == algorithm
    with signing(tmp_path / "out.mp4", credentials) as part:
        part.write_bytes((files / "face.mp4").read_bytes())
    validated(tmp_path / "out.mp4")


def test_bad_certificates_and_keys_are_one_line(files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    chain, key = files / "chain.pem", files / "key.pem"
    own = MAKERS["es256"]()
    alone = certificate("Alone", own, "Alone", own, authority=True).public_bytes(Encoding.PEM)
    (tmp_path / "over").mkdir()
    over, over_key = write_chain(tmp_path / "over", days=-2)
    short = rsa.generate_private_key(65537, 1024)
    short_chain = certificate("Short", short, "Root", own, authority=False).public_bytes(Encoding.PEM)
    before = sorted(tmp_path.iterdir())
    for given, reason in [
        ((tmp_path / "none.pem", key), "none.pem: cannot be opened (No such file"),
        ((chain, tmp_path / "none.pem"), "none.pem: cannot be opened (No such file"),
        ((key, key), "key.pem: holds no certificate in PEM"),
        ((chain, chain), "chain.pem: holds no private key in PEM"),
        ((chain, write("other.pem", pem_of(MAKERS["es256"]()))), "other.pem: does not belong to the first certificate"),
        ((chain, write("locked.pem", pem_of(own, b"secret"))), "locked.pem: is locked with a passphrase"),
        ((write("alone.pem", alone), write("own.pem", pem_of(own))), "alone.pem: cannot sign content credentials ("),
        ((over, over_key), "chain.pem: cannot sign content credentials ("),
        ((write("short.pem", short_chain), write("short-key.pem", pem_of(short))), "C2PA has no signature with such"),
    ]:
        assert dub(files, tmp_path / "out.mp4", *given) == 2, reason
        said = capfd.readouterr().err
        assert said.startswith("error: ")
        assert reason in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out.mp4").exists()
    assert [path for path in tmp_path.iterdir() if path.suffix == ".mp4"] == [p for p in before if p.suffix == ".mp4"]


def test_lines_between_the_blocks_may_be_in_any_encoding(files: Path, tmp_path: Path) -> None:
    """As OpenSSL writes them from a PKCS #12 file."""
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).write_bytes("    friendlyName: Müller\n".encode("latin-1") + (files / name).read_bytes())
    credentials = load_credentials(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert credentials == load_credentials(files / "chain.pem", files / "key.pem")


@pytest.mark.parametrize("option", ["--credentials", "--key"])
def test_one_of_the_two_is_too_little(option: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = [str(files / name) for name in ("face.mp4", "sound.wav")]
    options = ["--model", str(files / "model.pt"), option, str(files / "key.pem")]
    assert main(["dub", *clip, "-o", str(files / "no.mp4"), *options]) == 2
    assert "belong together" in capsys.readouterr().err


def sign_after(out: Path, credentials: Credentials, failure: Callable[[Path], BaseException | None]) -> None:
    """Writes invalid data to be signed, and fails as requested."""
    with signing(out, credentials) as part:
        part.write_bytes(b"half a video")
        if (error := failure(part)) is not None:
            raise error


def test_a_failure_leaves_nothing_and_names_the_output(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials, out = load_credentials(files / "chain.pem", files / "key.pem"), tmp_path / "out.mp4"
    out.write_bytes(b"what was there before")
    for failure, kind, said in [
        (lambda part: InputError(f"{part}: is no good"), InputError, rf"^{out}: is no good$"),
        (lambda _: KeyboardInterrupt(), KeyboardInterrupt, "^$"),
        (lambda _: None, InputError, r"out\.mp4: cannot be signed \("),  # the written file is no video
    ]:
        with pytest.raises(kind, match=said):
            sign_after(out, credentials, failure)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"what was there before"


def test_without_the_extra(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(InputError, match=r"pip install 'avcat\[credentials\]'"):
        load_credentials(files / "chain.pem", files / "key.pem")
