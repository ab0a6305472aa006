"""Methods that APC is compared with in Table 6, each a Method like APC itself."""
