"""What a schedule asks of a patient: amounts, doses, injections, days with a dose."""

from typing import Any

from pkpd.dosing import Regimen
from pkpd.explore.quantities import BY_MOUTH

DAY = 24.0


def given_by(regimen: Regimen) -> dict[str, Any]:
    """Doses and, by unit, amounts of each drug in all; injections, days with a dose, days."""
    doses = regimen.administrations()
    drugs: dict[str, dict[str, Any]] = {}
    for dose in doses:
        unit = f"{dose.unit}/{dose.per}" if dose.per else dose.unit
        mine = drugs.setdefault(dose.drug, {"doses": 0, "amount": {}})
        mine["doses"] += 1
        mine["amount"][unit] = mine["amount"].get(unit, 0.0) + dose.amount
    return {
        "drugs": drugs,
        "injections": sum(dose.route != BY_MOUTH for dose in doses),
        "dose_days": len({dose.time // DAY for dose in doses}),
        "days": regimen.length / DAY,
    }
