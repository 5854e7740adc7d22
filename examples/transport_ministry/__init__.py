"""The transport ministry (party BGTVT), as docs/howto/connect-an-agency.md connects it."""
