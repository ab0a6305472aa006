"""The paper's claims, judged with intervals."""
