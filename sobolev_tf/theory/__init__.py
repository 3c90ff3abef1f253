"""The paper's propositions as constructions that can be run (§3, SM §1, §5)."""
