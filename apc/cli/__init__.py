"""The command line: `main` finds the verb and answers errors in one sentence; one file a verb."""
