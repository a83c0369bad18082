"""What is given when: the regimen, as text, as tables and as an algebra of small objects."""

from pkpd.dosing.regimen import Administration, Dose, Regimen, Rest

__all__ = ["Administration", "Dose", "Regimen", "Rest"]
