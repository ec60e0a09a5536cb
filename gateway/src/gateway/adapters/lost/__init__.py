"""The directory as a LoST server (RFC 5222): who answers for a service at a place, in XML over HTTP."""
