"""`vmtpy demo`: a quiesced snapshot, proved on this machine."""
