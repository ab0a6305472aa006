"""What an experiment is, and its way from flags to the files it leaves."""
