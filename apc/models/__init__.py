"""Networks and refinements that the methods are made of."""
