"""Certificate chains by openssl, good and bad, for tests of who serves and who judges them."""

import os
import shutil
import subprocess

AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
DEVICE = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"


def is_there():
    return shutil.which("openssl") is not None


class Chain:
    """Root, intermediate and leaf in `folder`: chain.pem and leaf.key. `leaf` is added to the
    leaf's extensions and `authority` to the others'; `valid` are arguments of `openssl x509 -req`; `curve` of genpkey."""

    def __init__(self, folder, name, leaf="", valid=("-days", "9"), curve=(), authority=""):
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.pem = os.path.join(self.folder, "chain.pem")
        self.key = os.path.join(self.folder, "leaf.key")
        with open(os.path.join(self.folder, "x.cnf"), "w") as file:
            file.write(f"[ca]\n{AUTHORITY}{authority}\n[leaf]\n{DEVICE}{leaf}\n")
        issuer, text = None, b""
        for one in ("root", "mid", "leaf"):
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384",
                         *(curve if one == "leaf" else ()), "-out", f"{one}.key")
            self.openssl("req", "-new", "-key", f"{one}.key", "-subj", f"/CN={name} {one}", "-out",
                         "r.csr")
            by = (("-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial")
                  if issuer else ("-signkey", "root.key"))
            self.openssl("x509", "-req", "-in", "r.csr", *by,
                         *(valid if one == "leaf" else ("-days", "9")), "-sha384", "-extfile",
                         "x.cnf", "-extensions", "leaf" if one == "leaf" else "ca", "-out",
                         f"{one}.pem")
            issuer = one
        self.write(*(self.read(one) for one in ("root", "mid", "leaf")))

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def read(self, name):
        with open(os.path.join(self.folder, f"{name}.pem"), "rb") as file:
            return file.read()

    def write(self, *certificates):
        with open(self.pem, "wb") as file:
            file.write(b"".join(certificates))

    def spoil_signature(self, name):
        """Turns a bit of the certificate's signature."""
        self.openssl("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", "x.der")
        path = os.path.join(self.folder, "x.der")
        with open(path, "rb") as file:
            der = bytearray(file.read())
        der[-1] ^= 1
        with open(path, "wb") as file:
            file.write(der)
        self.openssl("x509", "-inform", "DER", "-in", "x.der", "-out", f"{name}.pem")
        self.write(*(self.read(one) for one in ("root", "mid", "leaf")))
