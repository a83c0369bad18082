"""How parameters differ between patients and occasions, and which differ together, by a model file."""

from collections.abc import Mapping

from pkpd.card import Quantity, Source
from pkpd.catalogue.sheet import KEYS, SPREADS, Sheet, read_quantity, to_unit
from pkpd.parameters import Declaration
from pkpd.population import pair_of

CORRELATION = ".corr"
_KEYS = tuple(key for key in KEYS if key not in SPREADS)


def read_correlations(root: Sheet, sources: Mapping[str, Source]) -> dict[str, Quantity]:
    """Correlations by path; each joins two parameters, or two covariates, by `~`."""
    sheet, found = root.child("correlations"), {}
    for key in sheet.table:
        ends = [end.strip() for end in key.split("~")]
        if len(ends) != 2:
            rule = 'must be two parameters or two covariates joined by ~, such as "drug.cl~drug.vc"'
            sheet.findings.add(sheet.at(key), rule, key[:60])
            continue
        pair = pair_of(*(end if "." in end else f"covariates.{end}" for end in ends))
        declaration = Declaration("corr", f"correlation {pair}", "1", "real")
        quantity = read_quantity((sheet, key), declaration, to_unit("1"), sources, keys=_KEYS)
        if quantity is not None:
            found[f"{pair}{CORRELATION}"] = quantity
    return found


def of_drug(drug: Mapping[str, Quantity], model: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """A drug's correlations in a model that uses it, which may set a number that does not differ any more."""

    def varies(end: str) -> bool:
        return end not in model or model[end].iiv is not None

    found = {path: q for path, q in drug.items() if path.endswith(CORRELATION)}
    return {p: q for p, q in found.items() if all(map(varies, p.removesuffix(CORRELATION).split("~")))}


def correlations(parameters: Mapping[str, Quantity]) -> dict[str, float]:
    """Those among the numbers of a model, by pair."""
    found = {p: q.value_in_system for p, q in parameters.items() if p.endswith(CORRELATION)}
    return {path.removesuffix(CORRELATION): value for path, value in found.items()}


def spreads(parameters: Mapping[str, Quantity], kind: str) -> dict[str, float]:
    """SDs between patients, `iiv`, or occasions, `iov`, by parameter, in the model's units."""
    sizes = {path: getattr(q, kind) for path, q in parameters.items()}
    return {p: parameters[p].spread_in_system(size) for p, size in sizes.items() if size is not None}
