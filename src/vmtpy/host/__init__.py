"""The emulated VMware host and what drives it: for tests, for the demo, for `vmtpy emulate`."""
