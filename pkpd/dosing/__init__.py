"""What is given when: the regimen, as text, as tables and as an algebra of small objects; event records."""

from pkpd.dosing.nonmem import load_records, write_records
from pkpd.dosing.record import Records
from pkpd.dosing.regimen import Administration, Dose, Regimen, Rest

__all__ = ["Administration", "Dose", "Records", "Regimen", "Rest", "load_records", "write_records"]
