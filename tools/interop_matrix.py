"""What of spdm_requester_emu's options crosses the wire, against what `teeio serve` has for it: the
flows of `tools/interop --matrix`, by group. Ed448 and SM's algorithms are left out: there are none
here."""

import dataclasses
import pathlib

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
WITH_SESSIONS = VERSIONS[1:]
HASHES = ("SHA_256", "SHA_384", "SHA_512", "SHA3_256", "SHA3_384", "SHA3_512")
# Signatures, as decode names them, and DMTF's folder with a chain and a key.
SIGNATURES = {
    "RSASSA_2048": ("RSASSA-2048", "rsa2048"), "RSASSA_3072": ("RSASSA-3072", "rsa3072"),
    "RSASSA_4096": ("RSASSA-4096", "rsa4096"), "RSAPSS_2048": ("RSAPSS-2048", "rsa2048"),
    "RSAPSS_3072": ("RSAPSS-3072", "rsa3072"), "RSAPSS_4096": ("RSAPSS-4096", "rsa4096"),
    "ECDSA_P256": ("ECDSA-P256", "ecp256"), "ECDSA_P384": ("ECDSA-P384", "ecp384"),
    "ECDSA_P521": ("ECDSA-P521", "ecp521"), "EDDSA_25519": ("Ed25519", "ed25519")}
GROUPS_OF_KEYS = {"FFDHE_2048": "FFDHE2048", "FFDHE_3072": "FFDHE3072", "FFDHE_4096": "FFDHE4096",
                  "SECP_256_R1": "SECP256R1", "SECP_384_R1": "SECP384R1",
                  "SECP_521_R1": "SECP521R1"}
CIPHERS = {"AES_128_GCM": "AES-128-GCM", "AES_256_GCM": "AES-256-GCM",
           "CHACHA20_POLY1305": "CHACHA20-POLY1305"}
# What GET_CAPABILITIES has without --cap. Source: spdm-emu key.c, m_use_requester_capability_flags.
REQUESTER_HAS = """CERT CHAL ENCRYPT MAC MUT_AUTH KEY_EX PSK ENCAP HBEAT KEY_UPD HANDSHAKE_IN_CLEAR
CHUNK MULTI_KEY_NEG EP_INFO_SIG LARGE_RESP""".split()
NO_KEY_EXCHANGE = ["KEY_EX", "HANDSHAKE_IN_CLEAR"]
NO_SESSION = [*NO_KEY_EXCHANGE, "PSK", "ENCRYPT", "MAC", "HBEAT", "KEY_UPD"]


@dataclasses.dataclass
class Flow:
    words: list        # of the requester
    options: list      # of serve
    wanted: str        # a pattern of decode's lines
    chain: str = ""    # DMTF's folder; none: the card's own


def hash_name(word):
    return word.replace("_", "-")


def caps(less=(), more=()):
    return ["--cap", ",".join([n for n in REQUESTER_HAS if n not in less] + list(more))]


def doe(version, *words):
    return ["--trans", "PCI_DOE", "--ver", version, *words]


def transports():
    for version in VERSIONS:
        for transport in ("PCI_DOE", "MCTP"):
            yield Flow(["--trans", transport, "--ver", version], [],
                       "END_SESSION" if version != "1.0" else "CHALLENGE_AUTH")
        for transport in ("TCP", "NONE"):  # not in captures
            yield Flow(["--trans", transport, "--ver", version], [], "")


def secured_versions():
    for version in ("1.0", "1.1", "1.2"):
        for transport in ("PCI_DOE", "MCTP"):
            yield Flow(["--trans", transport, "--sec_ver", version], [],
                       f"KEY_EXCHANGE_RSP .*secured_version={version} ")


def signatures():
    for word, (name, folder) in SIGNATURES.items():
        for digest in HASHES:
            yield Flow(doe("1.2", "--hash", digest, "--asym", word), [],
                       f" ALGORITHMS .*hash={hash_name(digest)} asym={name} ", folder)
        for version in ("1.0", "1.1", "1.3", "1.4"):
            if word != "EDDSA_25519" or version > "1.1":  # which came with 1.2
                yield Flow(doe(version, "--asym", word), [], f" ALGORITHMS .*asym={name} ", folder)


def exchanges():
    for version in ("1.1", "1.4"):
        for word, group in GROUPS_OF_KEYS.items():
            for cipher, name in CIPHERS.items():
                yield Flow(doe(version, "--dhe", word, "--aead", cipher), [],
                           f" ALGORITHMS .*dhe={group} aead={name} ")
    for digest in HASHES:
        for word in ("SECP_256_R1", "SECP_521_R1"):
            yield Flow(doe("1.4", "--hash", digest, "--dhe", word), [],
                       f" ALGORITHMS .*hash={hash_name(digest)} .*dhe={GROUPS_OF_KEYS[word]} ")


def measurements():
    """--meas_hash is not among them: a requester does not say which hash it wants."""
    for version in VERSIONS:
        for operation in ("ONE_BY_ONE", "ALL"):
            yield Flow(doe(version, "--meas_op", operation), [], " MEASUREMENTS ")
        for summary in ("NO", "TCB", "ALL"):
            yield Flow(doe(version, "--meas_sum", summary), [], " CHALLENGE_AUTH ")
    for version in VERSIONS[2:]:
        for attribute in ("HASH", "RAW"):
            yield Flow(doe(version, "--meas_att", attribute), [], " MEASUREMENTS ")


def shared_keys():
    for version in WITH_SESSIONS:
        for options in ([], ["--capabilities", "+PSK_CONTEXT"]):
            yield Flow(doe(version, "--exe_session", "PSK,HEARTBEAT,KEY_UPDATE,MEAS"), options,
                       " PSK_EXCHANGE_RSP ")
        yield Flow(doe(version, *caps(NO_KEY_EXCHANGE)), [], " PSK_EXCHANGE_RSP ")


def known_keys():
    """PUB_KEY_ID: the requester has the key of its sample chain."""
    for version in WITH_SESSIONS:
        for word in ("ECDSA_P256", "ECDSA_P384", "RSASSA_3072"):
            yield Flow(doe(version, "--asym", word, "--slot_id", "0xFF", "--exe_conn", "CHAL,MEAS",
                           "--exe_session", "KEY_EX,HEARTBEAT,MEAS"),
                       ["--capabilities", "+PUB_KEY_ID"], " KEY_EXCHANGE .*slot=255 ",
                       SIGNATURES[word][1])


def requester_capabilities():
    for version in WITH_SESSIONS:
        for less in (["HANDSHAKE_IN_CLEAR"], ["ENCAP", "MUT_AUTH"], ["PSK"], ["HBEAT"], ["KEY_UPD"],
                     ["CHUNK", "LARGE_RESP"], ["ENCRYPT"], NO_SESSION):
            yield Flow(doe(version, *caps(less)), [], " CHALLENGE_AUTH ")


def clear_handshakes():
    for version in WITH_SESSIONS:
        yield Flow(doe(version), ["--capabilities", "+CLEAR_HANDSHAKE"],
                   " CAPABILITIES .*CLEAR_HANDSHAKE")


def provisioning():
    """It sets its own sample chain, which must be the device's. Over MCTP: over PCI_DOE it takes
    padding for a part of ENDPOINT_INFO. Without SET_KEY_PAIR: it erases the key of slot 0."""
    for version in VERSIONS[2:]:
        yield Flow(["--trans", "MCTP", "--ver", version],
                   ["--capabilities", "+CSR,+SET_CERT,+GET_KEY_PAIR,+EP_INFO_SIG"],
                   " SET_CERTIFICATE_RSP ", "ecp384")
        if version != "1.2":
            yield Flow(["--trans", "MCTP", "--ver", version],
                       ["--capabilities", "+GET_KEY_PAIR,+EP_INFO_SIG"],
                       " KEY_PAIR_INFO (?s:.*) ENDPOINT_INFO ")


def several_keys():
    offered = ["--capabilities", "+MULTI_KEY_NEG,+GET_KEY_PAIR"]
    for version in ("1.3", "1.4"):
        yield Flow(doe(version), offered, " DIGESTS .*key_usages=")
        yield Flow(doe(version, *caps(["MULTI_KEY_NEG"], ["MULTI_KEY_ONLY"])), offered,
                   " DIGESTS .*key_usages=")


def others():
    yield Flow(doe("1.2", "--exe_mode", "CONTINUE"), [], "END_SESSION")
    yield Flow(doe("1.2", "--exe_conn", "VCA", "--exe_session", "PSK"), [], " PSK_EXCHANGE_RSP ")
    yield Flow(doe("1.2", "--exe_session", "KEY_EX,NO_END"), [], " FINISH_RSP ")


GROUPS = {group.__name__: group for group in (
    transports, secured_versions, signatures, exchanges, measurements, shared_keys, known_keys,
    requester_capabilities, clear_handshakes, provisioning, several_keys, others)}


def chain_options(emulators, flow, folder):
    """serve's, for DMTF's sample chain; `folder` is for the file."""
    if not flow.chain:
        return []
    sample = pathlib.Path(emulators, flow.chain)
    pem = pathlib.Path(folder, "chain.pem")
    pem.write_text("".join((sample / f"{name}.cert").read_text()
                           for name in ("ca", "inter", "end_responder")))
    return ["--chain", str(pem), "--key", str(sample / "end_responder.key")]
