"""Precision, cores and the compilation cache: the one explicit setting, made before JAX runs."""

import hashlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.checks import Findings

PRECISIONS = ("float64", "float32")
ARGUMENTS = {
    "jax_enable_x64": "precision",
    "jax_num_cpu_devices": "cores",
    "jax_compilation_cache_dir": "cache",
    "jax_persistent_cache_min_compile_time_secs": "cache",
}
CACHED_FROM_SECONDS = 0.1  # a program that compiles faster than this is not worth a file


def configure(
    precision: str = "float64",
    cores: int | None = None,
    cache: bool | str | os.PathLike[str] | None = None,
) -> None:
    """Set precision, cores and compilation cache; call it first, before anything computes.

    `precision`: `"float64"` or `"float32"`, the default type of new arrays. `cores`: how many CPU devices JAX
    shows, so that populations can be split over them. `cache`: keep compiled programs on disk, `True` in
    `cache_folder()`, a path in that folder, `False` nowhere. `None` leaves a setting as it is.

    Raises `InputError` for a value outside these, and `RuntimeError` if a setting would change after JAX has
    run, because arrays and programs of the old setting would stay. To ask for what is set is no change.
    """
    _check(precision, cores)
    settings = _settings(precision, cores, cache)
    changes = {name: value for name, value in settings.items() if _now(name) != value}
    if not changes:
        return
    if _has_run():
        late = ", ".join(sorted({ARGUMENTS[name] for name in changes}))
        raise RuntimeError(
            f"pkpd.configure must be called before JAX computes, but JAX has run: too late to change {late}. "
            "Call it at the top of the program, or restart Python."
        )
    for name, value in changes.items():
        jax.config.update(name, value)


def float64() -> AbstractContextManager[None]:
    """A block that computes in float64, whatever the precision outside it."""
    return jax.enable_x64(True)


def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled with `compile_options`, or without where XLA cannot make its program with them."""
    fast, plain = jax.jit(function, compiler_options=compile_options()), jax.jit(function)
    refused = False

    def call(*arguments: Any) -> Any:
        nonlocal refused
        if not refused:
            try:
                return fast(*arguments)
            except jax.errors.JaxRuntimeError as error:
                if "UNIMPLEMENTED" not in str(error):
                    raise
                refused = True
        return plain(*arguments)

    return call


def in_threads(function: Callable[[Any], Any], items: Iterable[Any], ready: bool = False) -> list[Any]:
    """What `function` gives for each item, by a thread for each usable core: programs run beside each other.

    The first item goes alone, so that what it compiles is there for the rest, unless all is `ready`.
    """
    items, precise = list(items), _now("jax_enable_x64")

    def run(item: Any) -> Any:
        with jax.enable_x64(precise):
            return jax.block_until_ready(function(item))

    done = [] if ready else [run(items[0])]
    with ThreadPoolExecutor(usable_cores()) as threads:
        return [*done, *threads.map(run, items[len(done) :])]


@cache
def compile_options() -> dict[str, Any]:
    """What makes XLA's programs for this processor faster and nothing else; empty where it refuses.

    Wide vectors, and barriers that keep it from computing shared terms again in each fusion: neither is
    documented, so each set is tried on a small program and left out where it fails.
    """
    if jax.default_backend() != "cpu":
        return {}
    wide = {"xla_cpu_prefer_vector_width": 512} if "avx512f" in _flags() else {}
    kept = {"xla_disable_hlo_passes": "optimization-barrier-expander,cse_barrier_expander"}
    return next((options for options in ({**wide, **kept}, wide) if _compiles(options)), {})


def patients_at_once() -> int:
    """How many patients a program is fast with: what a core's cache holds, or what keeps a GPU busy."""
    return 256 if jax.default_backend() == "cpu" else 262_144


def in_chunks(function: Callable[[Any], Any], arrays: Any, size: int, cores: int = 1) -> Any:
    """`function` of arrays whose last axis are patients: of `size` at most at a time, on `cores` devices.

    Its results have patients as their last axis too. The last chunks are filled up with copies of the last
    patient, so that all have one shape.
    """
    count = jax.tree.leaves(arrays)[0].shape[-1]
    chunks = -(-count // size)
    if chunks == 1 and cores == 1:
        return function(arrays)
    chunks = -(-max(chunks, cores) // cores) * cores
    width = -(-count // chunks)
    missing = chunks * width - count

    def split(v: jax.Array) -> jax.Array:
        v = jnp.concatenate([v, jnp.repeat(v[..., -1:], missing, axis=-1)], axis=-1) if missing else v
        return jnp.moveaxis(v.reshape(*v.shape[:-1], chunks, width), -2, 0)

    def join(v: jax.Array) -> jax.Array:
        v = jnp.moveaxis(v, 0, -2)
        return v.reshape(*v.shape[:-2], chunks * width)[..., :count]

    def run(parts: Any) -> Any:
        return jax.lax.map(function, parts)

    if cores > 1:
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:cores]), ("cores",))
        spec = jax.sharding.PartitionSpec("cores")
        run = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return jax.tree.map(join, run(jax.tree.map(split, arrays)))


def _compiles(options: dict[str, Any]) -> bool:
    """Whether a loop with a barrier compiles: newer versions of XLA make one function of it, and fail."""

    def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.lax.optimization_barrier(x + 1.0) * x, None

    try:
        program = jax.jit(lambda x: jax.lax.scan(step, x, None, length=2)[0], compiler_options=options)
        return bool((program(jnp.ones(1024)) == 6.0).all())
    except (RuntimeError, ValueError):
        return False


def cache_folder() -> Path:
    """Where compiled programs are kept by default: in the user's cache folder, one place per processor."""
    return _user_cache() / "pkpd" / "jax" / _processor()


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of what it needs."""
    needs = ["pkpd", "jaxlib", *(name for name, _, extra in _requirements("pkpd") if not extra)]
    found = {name: _version(name) for name in sorted(needs)}
    return {"python": platform.python_version()} | {name: known for name, known in found.items() if known}


def describe() -> dict[str, object]:
    """What this installation can use, in plain JSON; asks JAX for its devices, which starts it."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cores": usable_cores(),
        "devices": [{"platform": device.platform, "kind": device.device_kind} for device in jax.devices()],
        "precision": PRECISIONS[0] if _now("jax_enable_x64") else PRECISIONS[1],
        "cache": _now("jax_compilation_cache_dir"),
        "extras": extras(),
    }


def extras() -> dict[str, bool]:
    """For each optional part (`app`, `gpu`, ...) whether all its packages are installed."""
    names = sorted({extra for _, _, extra in _requirements("pkpd") if extra})
    return {name: _complete("pkpd", name) for name in names}


def _check(precision: str, cores: int | None) -> None:
    findings = Findings("pkpd.configure")
    if precision not in PRECISIONS:
        findings.add("precision", 'must be "float64" or "float32"', precision)
    if cores is not None and (isinstance(cores, bool) or not isinstance(cores, int) or cores < 1):
        findings.add("cores", "must be a whole number from 1", cores)
    findings.raise_if_any()


def _settings(
    precision: str, cores: int | None, cache: bool | str | os.PathLike[str] | None
) -> dict[str, object]:
    """The JAX options that the arguments stand for."""
    settings: dict[str, object] = {"jax_enable_x64": precision == "float64"}
    if cores is not None:
        settings["jax_num_cpu_devices"] = cores
    if cache is False:
        settings["jax_compilation_cache_dir"] = None
    elif cache is not None:
        folder = cache_folder() if cache is True else Path(cache).expanduser().absolute()
        settings["jax_compilation_cache_dir"] = str(folder)
        settings["jax_persistent_cache_min_compile_time_secs"] = CACHED_FROM_SECONDS
    return settings


def _has_run() -> bool:
    """JAX refuses another number of CPU devices once it has started, and says so in no other public way."""
    name = "jax_num_cpu_devices"
    now = _now(name)
    try:
        jax.config.update(name, max(now, 0) + 1)
    except RuntimeError:
        return True
    jax.config.update(name, now)
    return False


def _now(name: str) -> Any:
    """The present value of a JAX option."""
    return getattr(jax.config, name)


def _user_cache() -> Path:
    """XDG_CACHE_HOME where it is set, else the platform's own convention."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():
        return chosen
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _processor() -> str:
    """A short name of this processor's instruction set: programs compiled for a richer one would crash."""
    return f"{platform.machine()}-{hashlib.sha256(_flags().encode()).hexdigest()[:8]}"


def _flags() -> str:
    """The features of this processor, as the system lists them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def usable_cores() -> int:
    """Cores that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _requirements(package: str) -> list[tuple[str, str, str]]:
    """What an installed package requires: (name, extra asked of it, extra of `package` that asks)."""
    pattern = re.compile(r"""([\w.-]+)(?:\[([\w,.-]+)\])?(?:.*extra == ["']([\w.-]+))?""")
    lines = metadata.requires(package) or [] if _version(package) else []
    matches = filter(None, map(pattern.match, lines))
    return [(match[1], match[2] or "", match[3] or "") for match in matches]


def _complete(package: str, extra: str) -> bool:
    """Whether all that `package[extra]` requires is installed, nested extras such as `jax[cuda12]` too."""
    needs = [(name, inner) for name, inner, asked in _requirements(package) if asked == extra]
    return all(_version(name) and (not inner or _complete(name, inner)) for name, inner in needs)
