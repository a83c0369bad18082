"""The published facts of a model file, read."""

from collections.abc import Mapping

from pkpd.card import KINDS, QUANTITIES, Fact, Source
from pkpd.catalogue.sheet import Sheet, check_inside, check_source, in_system, read_unit
from pkpd.checks import InputError, did_you_mean
from pkpd.dosing import Regimen
from pkpd.units import Substance, UnitSystem

Outputs = Mapping[str, tuple[str, Substance]]

_NEEDED = ("regimen", "quantity", "until", "value", "unit")
_KEYS = (*_NEEDED, "source", "at", "output", "from", "range", "rtol", "spread", "kind", "why")
_AREA = {"1": "time", "1/time": "1", "amount/volume": "amount*time/volume", "*": "*"}


def read_facts(
    root: Sheet,
    key: str,
    outputs: Outputs,
    default: str | None,
    system: UnitSystem,
    sources: Mapping[str, Source],
) -> tuple[Fact, ...]:
    """The tables under `[[reproduces]]` or `[[misses]]`; `default` is the output of those that name none."""
    found = []
    for sheet in root.rows(key):
        before = len(sheet.findings.faults)
        fact = _read_fact(sheet, key == "misses", outputs, default, system, sources)
        if fact is not None and len(sheet.findings.faults) == before:
            found.append(fact)
    return tuple(found)


def _read_fact(
    sheet: Sheet,
    missed: bool,
    outputs: Outputs,
    default: str | None,
    system: UnitSystem,
    sources: Mapping[str, Source],
) -> Fact | None:
    sheet.known(_KEYS, "must be a key of a fact")
    sheet.need(*_NEEDED, "why" if missed else "kind")
    check_source(sheet, sources, published=True)
    quantity, kind = sheet.choice("quantity", QUANTITIES), sheet.choice("kind", KINDS) or ""
    texts = {name: sheet.text(name) for name in ("source", "at", "spread", "why")}
    output = _read_output(sheet, outputs, default)
    start, until = _read_window(sheet, system)
    value = sheet.number("value")
    interval = None if value is None else _read_interval(sheet, value)
    unit = None
    if quantity and output in outputs:
        unit = read_unit(
            sheet, in_system(_dimension(quantity, outputs[output][0]), system, outputs[output][1])
        )
    regimen = _read_regimen(sheet)
    if not quantity or value is None or interval is None or unit is None or until is None:
        return None
    return Fact(
        regimen=regimen,
        quantity=quantity,
        output=output,
        start=start,
        until=until,
        value=value,
        low=interval[0],
        high=interval[1],
        unit=unit[0],
        factor=unit[2],
        kind=kind,
        **texts,
    )


def _dimension(quantity: str, output: str) -> str:
    """The dimension of a summary of an output."""
    if quantity in ("tmax", "tmin", "thalf"):
        return "time"
    return _AREA.get(output, f"{output}*time") if quantity == "auc" else output


def _read_output(sheet: Sheet, outputs: Outputs, default: str | None) -> str:
    output = sheet.text("output")
    if not output and default is None:
        sheet.need("output", what=", because the model has not one drug")
    elif output and outputs and output not in outputs:
        sheet.fault("output", "must be an output of the model", did_you_mean(output[:60], outputs))
    return output or default or ""


def _read_window(sheet: Sheet, system: UnitSystem) -> tuple[float, float | None]:
    start, until = sheet.duration("from", system) or 0.0, sheet.duration("until", system)
    if until is not None and until <= start:
        sheet.fault("until", "must be later than from")
    return start, until


def _read_interval(sheet: Sheet, value: float) -> tuple[float, float] | None:
    """What counts as reproduced: `range`, or `rtol` about the value."""
    if ("range" in sheet.table) == ("rtol" in sheet.table):
        sheet.fault("range", "must be given, or rtol, not both")
        return None
    if "range" in sheet.table:
        interval = sheet.pair("range")
        if interval is not None:
            check_inside(sheet, "range", interval, value)
        return interval
    rtol = sheet.number("rtol")
    if rtol is None or not 0.0 < rtol < 5.0:
        sheet.fault("rtol", "must be greater than 0 and at most 5 (0.2 means 20 %)")
        return None
    low, high = sorted((value * (1.0 - rtol), value * (1.0 + rtol)))
    return low, high


def _read_regimen(sheet: Sheet) -> str:
    text = sheet.text("regimen")
    try:
        return text and str(Regimen.parse(text)) and text
    except InputError as error:
        for fault in error.faults:
            sheet.findings.add(sheet.at("regimen"), fault.rule, fault.value, fault.hint)
    return text
