"""Checks the DKIM signature of a mail as a receiver would (RFC 6376, RFC 8463).

usage: verify.py MAIL PUBLIC_KEY_RECORD; prints the tags of the signature, exits 1 when it fails.
"""

import re
import sys

import dkim

mail = open(sys.argv[1], "rb").read()
record = sys.argv[2].encode()
asked = []


def dns(name, timeout=5):
    asked.append(name.decode())
    return record


good = dkim.verify(mail, dnsfunc=dns)
header = re.search(rb"^DKIM-Signature:(.*?)\r\n(?![ \t])", mail, re.S | re.M | re.I).group(1)
print(re.sub(rb"\s+", b"", header).decode())
print(asked[0] if asked else "")
sys.exit(0 if good else 1)
