"""What to type so that somebody else's client judges a signature. Said here alone.

Every command is for a folder in which a pack was unpacked, and works offline. Who signed is always
asked for as well: a signature by somebody is not yet one by the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Made for these; npm on an older Node picks versions that refuse the entries of our log.
NPM_PACKAGES: Final = "@sigstore/verify@4.1.3"
NPM_FOLDER: Final = "npm"

# How openssl is asked, by the kind of a key; where a kind is used in two ways, both are tried.
_BY_KEY: Final = {
    "P-256": ("dgst -sha256 -verify {key} -signature sig pae",),
    "P-384": (
        "dgst -sha384 -verify {key} -signature sig pae",
        "dgst -sha256 -verify {key} -signature sig pae",
    ),
    "Ed25519": ("pkeyutl -verify -pubin -inkey {key} -rawin -sigfile sig -in pae",),
    "RSA": (
        "dgst -sha256 -sigopt rsa_padding_mode:pss -verify {key} -signature sig pae",
        "dgst -sha256 -verify {key} -signature sig pae",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether `bundle` is a good signature about `artifact`, by whom it should be.

    Attributes:
        owner: the last part of the owner's address in the certificates; empty when they name none.
        predicate_type: of the statement in the bundle.
        trust: the folder of trusted_root.json and trust_config.json.
    """

    artifact: str
    bundle: str
    identity: str
    issuer: str
    owner: str
    predicate_type: str
    trust: str

    def _trusting(self, name: str) -> str:
        return name if self.trust == "." else f"{self.trust}/{name}"

    @property
    def root(self) -> str:
        return self._trusting("trusted_root.json")

    @property
    def config(self) -> str:
        return self._trusting("trust_config.json")


def sigstore(asked: Question) -> str:
    """By sigstore-python's command line."""
    return f"""sigstore --trust-config {asked.config} verify identity --offline \\
  --bundle {asked.bundle} \\
  --cert-identity {asked.identity} \\
  --cert-oidc-issuer {asked.issuer} {asked.artifact}"""


def github(asked: Question) -> str:
    """By GitHub's command line; empty where the certificates name no owner, for it asks for one.

    Without `--format json` it prints a table and fails on an address that we don't have.
    """
    if not asked.owner:
        return ""
    return f"""gh attestation verify {asked.artifact} --bundle {asked.bundle} \\
  --custom-trusted-root {asked.root} --owner {asked.owner} \\
  --cert-identity {asked.identity} \\
  --cert-oidc-issuer {asked.issuer} \\
  --predicate-type {asked.predicate_type} --format json"""


def cosign(asked: Question) -> str:
    return f"""cosign verify-blob-attestation --bundle {asked.bundle} \\
  --trusted-root {asked.root} --use-signed-timestamps \\
  --certificate-identity {asked.identity} \\
  --certificate-oidc-issuer {asked.issuer} \\
  --type {asked.predicate_type} {asked.artifact}"""


def npm_install(folder: str) -> str:
    """Get npm's client, once and with a network: it is a library and has no command of its own."""
    return f"npm install --prefix {folder} {NPM_PACKAGES}"


def npm(asked: Question, folder: str) -> str:
    """By the client that npm checks packages with. It reads the bundle, and no artifact.

    Args:
        folder: where `npm_install` put it.
    """
    return f"""NODE_PATH={folder}/node_modules node -e '
const read = (path) => JSON.parse(require("fs").readFileSync(path));
const {{ bundleFromJSON }} = require("@sigstore/bundle");
const {{ TrustedRoot }} = require("@sigstore/protobuf-specs");
const {{ Verifier, toSignedEntity, toTrustMaterial }} = require("@sigstore/verify");
const root = TrustedRoot.fromJSON(read("{asked.root}"));
new Verifier(toTrustMaterial(root)).verify(
  toSignedEntity(bundleFromJSON(read("{asked.bundle}"))),
  {{ subjectAlternativeName: "{asked.identity}",
    extensions: {{ issuer: "{asked.issuer}" }} }});
console.log("verified");'"""


def openssl(bundle: str) -> str:
    """By openssl alone: signature, time stamp and certificate. It leaves files behind."""
    part = '\\([^"]*\\)'
    return f"""B={bundle}
sed 's/.*"payload":"{part}".*/\\1/' $B | base64 -d > payload
sed 's/.*"sig":"{part}".*/\\1/' $B | base64 -d > sig
sed 's/.*"certificate":{{"rawBytes":"{part}".*/\\1/' $B | base64 -d > leaf.der
sed 's/.*"signedTimestamp":"{part}".*/\\1/' $B | base64 -d > token
openssl x509 -inform DER -in leaf.der -out leaf.pem
openssl x509 -in leaf.pem -noout -ext subjectAltName -pubkey > leaf.pub
(printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(wc -c < payload); cat payload) > pae
openssl dgst -sha256 -verify leaf.pub -signature sig pae
openssl ts -verify -in token -data sig -CAfile trust/tsa_root.pem -untrusted trust/tsa.pem
openssl ts -reply -in token -text
openssl verify -CAfile trust/ca.pem -purpose any -attime SECONDS leaf.pem"""


def openssl_by_key(envelope: str, key: str, kind: str) -> str:
    """By openssl alone: one of the envelope's signatures is the key's. It leaves files behind.

    Args:
        envelope: a canonical DSSE envelope.
        key: a PEM public key.
        kind: as `ForeignKey.kind` has it.
    """
    part = '\\([^"]*\\)'
    ways = _BY_KEY[kind.partition(" ")[0]]
    asked = " ||\n    ".join(f"openssl {way.format(key=key)}" for way in ways)
    asked = f"{{ {asked}; }}" if len(ways) > 1 else asked
    return f"""E={envelope}
sed 's/.*"payload":"{part}".*/\\1/' $E | base64 -d > payload
T=$(sed 's/.*"payloadType":"{part}".*/\\1/' $E)
(printf 'DSSEv1 %d %s %d ' ${{#T}} "$T" $(wc -c < payload); cat payload) > pae
for S in $(grep -o '"sig":"[^"]*"' $E | cut -d '"' -f 4); do
  echo "$S" | base64 -d > sig
  {asked} && break
done"""
