"""Parses the OVF environment, which has the properties that were entered when the virtual machine
was deployed from a template.

vSphere puts it in guestinfo.ovfEnv if the template's transport is com.vmware.guestInfo. The module
reads the host's XML with expat, and refuses a document type and thereby all entities.
"""

from __future__ import annotations

from typing import NamedTuple
from xml.parsers import expat

from vmtpy.errors import VmtError

ENVIRONMENT = "http://schemas.dmtf.org/ovf/environment/1"
VMWARE = "http://www.vmware.com/schema/ovfenv"
KEY = "ovfEnv"
MISSING = (
    "guestinfo.ovfEnv has no value: this virtual machine was not deployed from a template with "
    "properties, or its OVF environment transport is not com.vmware.guestInfo"
)


class OvfEnvError(VmtError, ValueError):
    """guestinfo.ovfEnv is not a valid OVF environment; the text says why."""


class OvfEnvironment(NamedTuple):
    """The contents of the document.

    Attributes:
        properties: the properties of this virtual machine, by key.
        platform: the platform that deployed it: "Kind", "Version", "Vendor", "Locale".
        adapters: "mac", "network" and "unitNumber" of each network adapter.
        others: the properties of the other virtual machines of its vApp, by their identifiers.
    """

    properties: dict[str, str]
    platform: dict[str, str]
    adapters: list[dict[str, str]]
    others: dict[str, dict[str, str]]


def parse(document: bytes) -> OvfEnvironment:
    """Parses the document.

    Raises:
        OvfEnvError: the document is not well-formed, has a document type, or is not an OVF
            environment.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    try:
        parser.Parse(document.rstrip(b"\0"), True)
    except OvfEnvError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the others: of its encoding
        raise OvfEnvError(f"guestinfo.ovfEnv is not well-formed XML: {error}") from error
    return reader.found


def _refuse(*_: object) -> None:
    raise OvfEnvError("guestinfo.ovfEnv has a document type (DTD), which vmtpy refuses")


class _Reader:
    """Handles expat's events, whose names are "NAMESPACE NAME"."""

    def __init__(self) -> None:
        self.found = OvfEnvironment({}, {}, [], {})
        self._path: list[str] = []
        self._properties = self.found.properties
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if not self._path and (space, local) != (ENVIRONMENT, "Environment"):
            raise OvfEnvError(
                f"guestinfo.ovfEnv is not an OVF environment: its root element is <{local}>"
            )
        self._path.append(local)
        self._text = ""
        if (space, local) == (ENVIRONMENT, "Entity"):
            identifier = attributes.get(f"{ENVIRONMENT} id", "")
            self._properties = self.found.others.setdefault(identifier, {})
        elif self._path[-2:] == ["PropertySection", "Property"]:
            key = attributes.get(f"{ENVIRONMENT} key")
            value = attributes.get(f"{ENVIRONMENT} value")
            if key is None or value is None:
                raise OvfEnvError("guestinfo.ovfEnv has a <Property> without oe:key or oe:value")
            self._properties[key] = value
        elif (space, local) == (VMWARE, "Adapter"):
            prefix = f"{VMWARE} "
            names = {one.removeprefix(prefix): value for one, value in attributes.items()}
            self.found.adapters.append(names)

    def end(self, _name: str) -> None:
        local = self._path.pop()
        if local == "Entity":
            self._properties = self.found.properties
        elif self._path[-1:] == ["PlatformSection"]:
            self.found.platform[local] = self._text.strip()

    def text(self, data: str) -> None:
        self._text += data
