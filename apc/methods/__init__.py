"""What is trained: APC, and the methods it is compared with in Table 6, each a Method."""
