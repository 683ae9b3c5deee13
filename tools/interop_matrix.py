"""What of spdm_requester_emu's options crosses the wire, against what `teeio serve` has for it: the
flows of `tools/interop --matrix`, by group; and what spdm_responder_emu alone can be told, judged by
`teeio validate`. Ed448 and SM's algorithms are left out: there are none here."""

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
ML_DSA = {f"ML_DSA_{size}": (f"ML-DSA-{size}", f"mldsa{size}") for size in (44, 65, 87)}
SLH_DSA = {f"SLH_DSA_{digest}_{size}": (f"SLH-DSA-{digest}-{size}", f"slh-dsa-{digest}-{size}".lower())
           for digest in ("SHA2", "SHAKE") for size in ("128S", "128F", "192S", "192F", "256S", "256F")}
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
    refused: str = ""  # the step at which the requester must fail; none: no step may


@dataclasses.dataclass
class Asked:
    words: list    # of the responder
    options: list  # of validate
    wanted: str    # a pattern of its TAP


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


def wrong_keys():
    """The requester has one key under one hint. Whose key is another one it finds out by the HMAC of
    PSK_EXCHANGE_RSP; a hint that nobody knows is refused."""
    for version in WITH_SESSIONS:
        words = doe(version, "--exe_session", "PSK")
        yield Flow(words, ["--psk", "TestPskHint=Another"], r" PSK_EXCHANGE_RSP (?!(?s:.*)END_SESSION)",
                   refused="libspdm_start_session - 80020001")
        yield Flow(words, ["--psk", "AnotherHint=TestPskData"],
                   r" SPDM_ERROR .*error=InvalidRequest (?!(?s:.*) PSK_EXCHANGE_RSP)",
                   refused="libspdm_start_session - 8001000a")


def requester_slots():
    """A requester without a chain (0xFF: its public key would have to be known) is not asked for one,
    and gets no session where it must be. Other slots of its own only a responder names."""
    for version in WITH_SESSIONS:
        words = doe(version, "--req_slot_id", "0xFF", "--exe_session", "KEY_EX")
        yield Flow(words, ["--mutual-auth"],
                   r"\A(?!(?s:.*) ENCAPSULATED_REQUEST )(?s:.*) END_SESSION_ACK ")
        error = "InvalidPolicy" if version >= "1.3" else "Unspecified"
        yield Flow(words, ["--mutual-auth", "--mutual-auth-required"],
                   f" KEY_EXCHANGE .*\n.* SPDM_ERROR .*error={error} ",
                   refused="libspdm_start_session - 8001000a")


def other_parameters():
    """Without a common format of opaque data the requester itself opens no session."""
    for version in VERSIONS[2:]:
        yield Flow(doe(version, "--other_param", "OPAQUE_FMT_1"), [],
                   r" ALGORITHMS .*other_params=0x2 (?s:.*) END_SESSION_ACK ")
        yield Flow(doe(version, "--other_param", "MULTI_KEY_CONN"), [],
                   r"\A(?!(?s:.*) KEY_EXCHANGE )(?s:.*) ALGORITHMS .*other_params=0x0 ",
                   refused="libspdm_start_session - 80010004")


def known_keys():
    """PUB_KEY_ID: the requester has the key of its sample chain."""
    for version in WITH_SESSIONS:
        for word in ("ECDSA_P256", "ECDSA_P384", "RSASSA_3072"):
            yield Flow(doe(version, "--asym", word, "--slot_id", "0xFF", "--exe_conn", "CHAL,MEAS",
                           "--exe_session", "KEY_EX,HEARTBEAT,MEAS"),
                       ["--capabilities", "+PUB_KEY_ID"], " KEY_EXCHANGE .*slot=255 ",
                       SIGNATURES[word][1])


def requester_keys():
    """The device has the key of a requester without certificates, or its chain by CHALLENGE: FINISH is
    signed, and nothing is asked before."""
    alone = r"\A(?!(?s:.*) ENCAPSULATED_REQUEST )(?s:.*)"
    for version in WITH_SESSIONS:
        for word, name in (("ECDSA_P256", "ecp256"), ("ECDSA_P384", "ecp384"), ("RSASSA_3072", "rsa3072")):
            yield Flow(doe(version, "--req_slot_id", "0xFF", "--req_asym", word, "--exe_session", "KEY_EX"),
                       ["--mutual-auth", "--mutual-auth-required", "--requester-key",
                        f"{name}/end_requester.key.pub.der"],
                       alone + r" FINISH .*req_slot=255 (?s:.*) END_SESSION_ACK ")
    for version in WITH_SESSIONS[:3]:
        yield Flow(doe(version), ["--mutual-auth", "--mutual-auth-reuse"],
                   r" KEY_EXCHANGE_RSP .*mut_auth=0x1 (?s:.*) FINISH .*req_slot=0 (?s:.*) END_SESSION_ACK ")


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


def post_quantum():
    """SPDM 1.4's, with OpenSSL 3.5 or later at both ends."""
    first = ["--post-quantum", "first"]
    for word, (name, folder) in ML_DSA.items():
        for size in (512, 768, 1024):
            yield Flow(doe("1.4", "--pqc_asym", word, "--kem", f"ML_KEM_{size}"), first,
                       f" ALGORITHMS .*asym=none dhe=none .* pqc_asym={name} .*kem=ML-KEM-{size} ",
                       folder)
        yield Flow(doe("1.4", "--req_pqc_asym", word), [*first, "--mutual-auth"],
                   f" ALGORITHMS .*req_pqc_asym={name} (?s:.*) ENCAPSULATED_REQUEST ")
    for word, (name, folder) in SLH_DSA.items():  # whose signatures take long
        # In the session the requester reads its own chain, unasked, and none above 64 KiB.
        large = word.endswith(("192F", "256S", "256F"))
        yield Flow(doe("1.4", "--pqc_asym", word, "--exe_conn", "DIGEST,CERT,CHAL", "--exe_session",
                       "KEY_EX"), first,
                   f" ALGORITHMS .*pqc_asym={name} (?s:.*) {'FINISH_RSP' if large else 'END_SESSION_ACK'} ",
                   folder, "do_certificate_provising_via_spdm - 80030000" if large else "")
    yield Flow(doe("1.4", "--kem", "NONE"), first, " ALGORITHMS .*dhe=SECP384R1 .*pqc_asym=ML-DSA-87 ")
    yield Flow(doe("1.4", "--pqc_asym", "NONE"), first,
               " ALGORITHMS .*asym=ECDSA-P384 dhe=none .*kem=ML-KEM-1024 ")
    yield Flow(doe("1.4"), [], " ALGORITHMS .*asym=ECDSA-P384 dhe=SECP384R1 ")
    for transport in ("PCI_DOE", "MCTP"):
        yield Flow(["--trans", transport], ["--post-quantum", "only"],
                   r" VERSION .*versions=1\.4\n(?s:.*) ALGORITHMS .*pqc_asym=ML-DSA-87 ")


def post_quantum_responders():
    for word in ML_DSA:
        yield Asked(["--ver", "1.4", "--pqc_first", "TRUE", "--pqc_asym", word],
                    ["--suite", "session,auth", "--post-quantum", "first"], r"^# \d+ passed, 0 failed")


def others():
    yield Flow(doe("1.2", "--exe_mode", "CONTINUE"), [], "END_SESSION")
    yield Flow(doe("1.2", "--exe_conn", "VCA", "--exe_session", "PSK"), [], " PSK_EXCHANGE_RSP ")
    yield Flow(doe("1.2", "--exe_session", "KEY_EX,NO_END"), [], " FINISH_RSP ")


def responders():
    """What only a responder can be told to be, or to ask: who is a requester there, and its keys."""
    for version in WITH_SESSIONS:
        basic, auth = ["--ver", version, "--basic_mut_auth"], ["--case", "auth"]
        yield Asked([*basic, "NO"], auth, r"^ok \d+ - auth.challenge: .* # SKIP .*does not ask")
        yield Asked([*basic, "BASIC"], auth, r"^ok \d+ - auth.challenge: [^#]*$")
        yield Asked(["--ver", version, "--req_slot_id", "1"], auth, r"^ok \d+ - auth.mutual: [^#]*$")
        for key, wanted in (
                ("TestPskHint=TestPskData", r"^ok \d+ - auth.psk.session: [^#]*$"),
                ("TestPskHint=Another",
                 r"^not ok \d+ - auth.psk.session: .*\n.*\n.*PSK_EXCHANGE_RSP''s HMAC is wrong"),
                ("AnotherHint=TestPskData",
                 r"^not ok \d+ - auth.psk.session: .*\n.*\n.*ERROR Unspecified")):
            yield Asked(["--ver", version], ["--case", "auth.psk", "--psk", key], wanted)


GROUPS = {group.__name__: group for group in (
    transports, secured_versions, signatures, exchanges, measurements, shared_keys, wrong_keys,
    known_keys, requester_keys, requester_slots, other_parameters, requester_capabilities, clear_handshakes,
    provisioning, several_keys, post_quantum, others, responders,
    post_quantum_responders)}


def chain_options(emulators, flow, folder):
    """serve's, for DMTF's sample chain; `folder` is for the file."""
    if not flow.chain:
        return []
    sample = pathlib.Path(emulators, flow.chain)
    pem = pathlib.Path(folder, "chain.pem")
    pem.write_text("".join((sample / f"{name}.cert").read_text()
                           for name in ("ca", "inter", "end_responder")))
    return ["--chain", str(pem), "--key", str(sample / "end_responder.key")]
