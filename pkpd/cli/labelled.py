"""Files of labelled results that the commands write."""

from pathlib import Path
from typing import Any

EXTRAS = {".nc": "netcdf", ".parquet": "parquet"}
SUFFIXES = (".csv", *EXTRAS)


def check_suffix(suffix: str, findings: Any) -> None:
    """A fault where this installation cannot write such a file."""
    from pkpd.checks import did_you_mean
    from pkpd.devices import extras

    if suffix not in SUFFIXES:
        findings.add("--out", "must end in .csv, .nc or .parquet", suffix, did_you_mean(suffix, SUFFIXES))
    elif suffix in EXTRAS and not extras().get(EXTRAS[suffix]):
        rule = "must be a kind of file that this installation can write"
        findings.add("--out", rule, suffix, f'Install "pkpd[{EXTRAS[suffix]}]".')


def write_labelled(found: Any, path: Path, suffix: str) -> None:
    """Writes an xarray Dataset as a file of a kind."""
    if suffix == ".nc":
        found.to_netcdf(path, engine="h5netcdf")
        return
    rows = found.to_dataframe().reset_index()
    if suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path)
