"""Certificates of the faulty provider: one that is right, and those that must not be trusted."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A certificate authority in memory."""

    def __init__(self, subject: str):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = name(subject)
        self.certificate = self.sign(self.key, self.subject, is_authority=True)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        *names: x509.GeneralName,
        begin: datetime = NOW - DAY,
        end: datetime = NOW + DAY,
        is_authority: bool = False,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(self.subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


class Certificates:
    """PEM files in a directory: `ca.pem`, and for each name of `kinds` a context that presents such a certificate."""

    kinds = ("good", "expired", "future", "other-name", "other-ca", "self-signed", "ca-as-server")

    def __init__(self, directory: Path):
        self.directory = directory
        self.ca = directory / "ca.pem"
        ours, theirs = Authority("Authority"), Authority("Another authority")
        self.ca.write_bytes(ours.certificate.public_bytes(serialization.Encoding.PEM))
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        for kind in self.kinds:
            names: list[x509.GeneralName] = [address, x509.DNSName("*.provider.test")]
            begin, end = NOW - DAY, NOW + DAY
            key, authority, is_authority = ec.generate_private_key(ec.SECP256R1()), ours, False
            match kind:
                case "expired":
                    begin, end = NOW - 3 * DAY, NOW - DAY
                case "future":
                    begin, end = NOW + DAY, NOW + 3 * DAY
                case "other-name":
                    names = [x509.DNSName("another.test")]
                case "other-ca":
                    authority = theirs
                case "self-signed":
                    authority = Authority("server")
                    key = authority.key
                case "ca-as-server":
                    is_authority = True
            certificate = authority.sign(key, name("server"), *names, begin=begin, end=end, is_authority=is_authority)
            secret = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            (directory / f"{kind}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)

    def context(self, kind: str = "good", protocol: str = "http/1.1") -> ssl.SSLContext:
        """A server's context. Other kinds than certificates: `old-tls` and `asks` (for a client certificate)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / f"{kind if kind in self.kinds else 'good'}.pem")
        context.set_alpn_protocols([protocol])
        if kind == "old-tls":
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        if kind == "asks":
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
