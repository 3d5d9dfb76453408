# SPDX-License-Identifier: MIT
"""Writes a file of MaxMind's format: a search tree over the bits of addresses, a data section, and metadata."""

import ipaddress
import struct

MARKER = b"\xab\xcd\xefMaxMind.com"


def encode(value):
    """One value of the data section. A control byte holds the type and the size."""
    def control(kind, size):
        if size >= 29:  # one more byte of size is enough here
            assert size < 29 + 256
            size, more = 29, bytes([size - 29])
        else:
            more = b""
        return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + more

    if isinstance(value, str):
        data = value.encode()
        return control(2, len(data)) + data
    if isinstance(value, dict):
        return control(7, len(value)) + b"".join(encode(key) + encode(each) for key, each in value.items())
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(encode(each) for each in value)
    kind, number = value  # ("uint16" | "uint32" | "uint64", n)
    data = number.to_bytes(8, "big").lstrip(b"\0")
    return control({"uint16": 5, "uint32": 6, "uint64": 9}[kind], len(data)) + data


def mmdb(records, kind="Test"):
    """`records`: {network: value}, none inside another. Gives the file's bytes; IPv4 lies in ::/96."""
    nodes = [[None, None]]
    for network, value in records.items():
        network = ipaddress.ip_network(network)
        v4 = network.version == 4
        bits = [0] * 96 if v4 else []
        bits += [int(network.network_address) >> (network.max_prefixlen - 1 - i) & 1 for i in range(network.prefixlen)]
        at = 0
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][bits[-1]] = ("data", value)
    data, tree = b"", b""
    for node in nodes:
        for record in node:
            if record is None:
                number = len(nodes)  # nothing is known
            elif isinstance(record, int):
                number = record
            else:
                number = len(nodes) + 16 + len(data)
                data += encode(record[1])
            tree += struct.pack(">I", number)
    metadata = {"node_count": ("uint32", len(nodes)), "record_size": ("uint16", 32), "ip_version": ("uint16", 6),
                "database_type": kind, "languages": ["en"], "binary_format_major_version": ("uint16", 2),
                "binary_format_minor_version": ("uint16", 0), "build_epoch": ("uint64", 1), "description": {"en": kind}}
    return tree + b"\0" * 16 + data + MARKER + encode(metadata)


def countries(records):
    return mmdb({network: {"country": {"iso_code": code}} for network, code in records.items()}, "Test-Country")


def networks(records):
    return mmdb({network: {"autonomous_system_number": ("uint32", number), "autonomous_system_organization": "Test"}
                 for network, number in records.items()}, "Test-ASN")
