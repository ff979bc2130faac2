"""The OVF environment: read, refused where it could harm, and shown by the command."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.emulation import emulate, require_ptrace

from vmtpy import ovfenv

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<Environment
     xmlns="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:ve="http://www.vmware.com/schema/ovfenv"
     oe:id="web" ve:vCenterId="vm-42">
   <PlatformSection>
      <Kind>VMware ESXi</Kind>
      <Version>8.0.2</Version>
      <Vendor>VMware, Inc.</Vendor>
      <Locale>en</Locale>
   </PlatformSection>
   <PropertySection>
      <Property oe:key="hostname" oe:value="web1"/>
      <Property oe:key="dns.motd" oe:value="a &lt;b&gt;&#10;ü"/>
      <Property oe:key="empty" oe:value=""/>
   </PropertySection>
   <ve:EthernetAdapterSection>
      <ve:Adapter ve:mac="00:50:56:01:02:03" ve:network="VM Network" ve:unitNumber="7"/>
   </ve:EthernetAdapterSection>
   <Entity oe:id="db">
      <PropertySection><Property oe:key="hostname" oe:value="db1"/></PropertySection>
   </Entity>
</Environment>
"""
PROPERTIES = {"hostname": "web1", "dns.motd": "a <b>\nü", "empty": ""}
HEAD = '<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"'


def test_all_of_it_is_read() -> None:
    found = ovfenv.parse(DOCUMENT.encode())
    assert found.properties == PROPERTIES
    assert found.platform == {
        "Kind": "VMware ESXi",
        "Version": "8.0.2",
        "Vendor": "VMware, Inc.",
        "Locale": "en",
    }
    assert found.adapters == [
        {"mac": "00:50:56:01:02:03", "network": "VM Network", "unitNumber": "7"}
    ]
    assert found.others == {"db": {"hostname": "db1"}}


def test_a_document_without_properties_has_none() -> None:
    assert ovfenv.parse(f"{HEAD}/>\0".encode()) == ovfenv.OvfEnvironment({}, {}, [], {})


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not well-formed XML"),
        ("<Environment", "not well-formed XML"),
        (DOCUMENT[:-20], "not well-formed XML"),
        (BOMB + DOCUMENT.partition("?>")[2], "document type"),
        (OUTSIDE + DOCUMENT.partition("?>")[2], "document type"),
        (f"{HEAD}>&other;</Environment>", "not well-formed XML: undefined entity"),
        (DOCUMENT.replace("UTF-8", "nonsense"), "not well-formed XML"),
        (DOCUMENT.replace("UTF-8", "utf-16"), "not well-formed XML"),
        (DOCUMENT.replace("UTF-8", "shift-jis"), "not well-formed XML"),
        ("<html/>", "not an OVF environment: its root element is <html>"),
        ("<Environment/>", "not an OVF environment"),
        (f"{HEAD}><PropertySection><Property/></PropertySection></Environment>", "without oe:key"),
    ],
)
def test_what_is_none_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ovfenv.OvfEnvError, match=reason):
        ovfenv.parse(text.encode())


@given(st.binary(max_size=200), st.integers(0, len(DOCUMENT)))
def test_no_document_brings_another_error(noise: bytes, place: int) -> None:
    whole = DOCUMENT.encode()
    for document in (noise, whole[:place] + noise + whole[place:]):
        with contextlib.suppress(ovfenv.OvfEnvError):
            ovfenv.parse(document)


def command(*words: str, document: str | None, into: Path) -> tuple[int, str, str]:
    require_ptrace()
    options: tuple[str, ...] = ()
    if document is not None:
        (into / "ovfenv").write_text(document)
        options = ("--guestinfo", f"ovfEnv=@{into}/ovfenv")
    program = (sys.executable, "-m", "vmtpy", "guestinfo", "ovfenv")
    done = emulate(*program, *words, options=options)
    return done.code, done.stdout.decode(), done.stderr.decode()


def test_the_command_shows_properties(tmp_path: Path) -> None:
    listed = command(document=DOCUMENT, into=tmp_path)
    assert listed == (0, "hostname=web1\ndns.motd=a <b>\nü\nempty=\n", "")
    assert command("dns.motd", document=DOCUMENT, into=tmp_path) == (0, "a <b>\nü", "")
    code, text, _ = command("--json", document=DOCUMENT, into=tmp_path)
    assert code == 0
    assert json.loads(text)["properties"] == PROPERTIES


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    code, _, said = command("host", document=DOCUMENT, into=tmp_path)
    assert (code, said) == (
        1,
        "the OVF environment has no property host; its properties: hostname, dns.motd, empty\n",
    )
    code, _, said = command(document=None, into=tmp_path)
    assert (code, said) == (1, f"{ovfenv.MISSING}\n")
    code, _, said = command(document="<html/>", into=tmp_path)
    assert code == 1
    assert "vmtpy guestinfo: guestinfo.ovfEnv is not an OVF environment" in said
