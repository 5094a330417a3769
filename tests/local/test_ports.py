"""Ports that a local stack keeps."""

import json
import socket

from starter.local.ports import HOST, keep_ports

NAMES = ["temporal", "web", "sandbox"]


def test_ports_are_kept(tmp_path):
    """A stack that comes back has its old addresses."""
    file = tmp_path / "ports.json"
    first = keep_ports(file, NAMES)
    assert keep_ports(file, NAMES) == first
    assert len(set(first.values())) == len(NAMES)


def test_taken_port_is_replaced(tmp_path):
    """A port that somebody else has taken meanwhile is given up, the others stay."""
    file = tmp_path / "ports.json"
    first = keep_ports(file, NAMES)
    with socket.create_server((HOST, first["web"])):
        second = keep_ports(file, NAMES)
    assert second["web"] != first["web"]
    assert {name: second[name] for name in ("temporal", "sandbox")} == {
        name: first[name] for name in ("temporal", "sandbox")
    }
    assert json.loads(file.read_text()) == second


def test_ports_stay_clear_of_outgoing_connections(tmp_path):
    """No port comes from where systems take the local ends of outgoing connections."""
    ports = keep_ports(tmp_path / "ports.json", NAMES)
    assert all(port < 32_768 for port in ports.values())
