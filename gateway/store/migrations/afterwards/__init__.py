"""One file a migration of the second half, in order; each is applied when no process of the release before runs."""
