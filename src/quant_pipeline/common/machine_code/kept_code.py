"""Machine code of the kernels, kept on disk and loaded without numba.

Importing numba and reading its own cache take more than a second, which is most of a daily run for the newest session.
So the code that numba has compiled is kept as a plain object file, and LLVM's linker alone loads it. The process that
has just compiled takes the same way, so there is one code and one set of bits.

A file belongs to one digest of everything that decides about the code: the sources of all kernels and their
signatures, the versions of Python, numba and llvmlite, the processor and its features, and the settings of numba that
change what it compiles. It also holds a digest of its content: a damaged file is never loaded but compiled again.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from quant_pipeline.common.atomic import write_bytes
from quant_pipeline.common.compilation import digest_files
from quant_pipeline.common.numba_settings import folders_of_kept_code, numba_setting

logger = logging.getLogger(__name__)

_FORMAT = b"machine code of quant_pipeline 1\n"
_SETTINGS = (
    *("BOUNDSCHECK", "CPU_FEATURES", "CPU_NAME", "DEBUGINFO", "DISABLE_INTEL_SVML", "ENABLE_AVX", "ENABLE_PROFILING"),
    *("EXTEND_VARIABLE_LIFETIMES", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE"),
)
"""Settings of numba that change what it compiles."""


@cache
def digest_sources(folder: Path) -> str:
    """Digest of the sources of the kernels of a folder, and of what makes machine code of them."""
    return digest_files([*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")])


def _processor() -> tuple[str, str]:
    """Name and features of the processor, or those that settings of numba name."""
    name = numba_setting("CPU_NAME") or llvm.get_host_cpu_name()
    features = numba_setting("CPU_FEATURES")
    return name, llvm.get_host_cpu_features().flatten() if features is None else features


def host_machine() -> Any:
    """Return LLVM's description of this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = _processor()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True)


def load_machine_code(name: str, folder: Path, signatures: str, compile_anew: Callable[[], bytes]) -> Any:
    """Load kept machine code, or compile and keep it.

    Parameters
    ----------
    name
        Name of the file.
    folder
        Where the sources of the kernels lie, and by default the code that is kept.
    signatures
        What else belongs to the digest.
    compile_anew
        Returns an object file.

    Returns
    -------
    llvmlite.binding.ExecutionEngine
        Knows the addresses of the functions, which live as long as it does.
    """
    digest = _digest(folder, signatures)
    folders = list(folders_of_kept_code(folder / name))
    file = f"{name}-{digest.hex()[:16]}.bin"
    code = next((code for place in folders if (code := _read(place / file, digest)) is not None), None)
    if code is None:
        code = compile_anew()
        if not any(_write(place / file, digest, code) for place in folders):
            logger.warning(
                "No folder for compiled kernels can be written: every process will compile them again. "
                "Set NUMBA_CACHE_DIR to one that can."
            )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), host_machine())
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _digest(folder: Path, signatures: str) -> bytes:
    settings = [numba_setting(setting) for setting in _SETTINGS]
    versions = [sys.implementation.cache_tag, version("numba"), version("llvmlite")]
    triple = llvm.get_default_triple()
    parts = [digest_sources(folder), signatures, versions, triple, _processor(), settings]
    return hashlib.sha256(repr(parts).encode()).digest()


def _read(path: Path, digest: bytes) -> bytes | None:
    """Read kept code; None when there is none, or what is there is damaged or belongs to another digest."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_FORMAT) + 64
    code = content[head:]
    return code if content[:head] == _head(digest, code) else None


def _head(digest: bytes, code: bytes) -> bytes:
    return _FORMAT + digest + hashlib.sha256(code).digest()


def _write(path: Path, digest: bytes, code: bytes) -> bool:
    """Write code beside its place and move it there, as another process may do at the same time."""
    try:
        write_bytes(path, _head(digest, code) + code)
    except OSError:
        return False
    return True
