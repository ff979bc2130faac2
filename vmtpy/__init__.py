"""vmtpy: the VMware guest agent that takes quiesced snapshots in milliseconds and always thaws."""

__version__ = "0.1.0"
