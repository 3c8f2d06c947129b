"""Run a target of the Makefile as on a processor with AVX2 alone: `python .ci/avx2.py FOLDER [TARGET ...]`.

Clones the committed state into FOLDER, installs it, and replaces each CPUID instruction in its environment's libraries
and in the compilers by a trap, whose handler hides AVX-512, VNNI, AMX and what comes with them. The libraries' own
settings do so for some of them alone. Needs Linux on x86-64, root (it mounts a few files in a namespace of its own),
gcc, and `pip install capstone pyelftools`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import capstone
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

CPUID, TRAP = b"\x0f\xa2", b"\xcc\x90"  # int3 and nop, of the same length
HIDDEN = re.compile(r" (avx512\w*|avx_vnni|amx\w*|gfni|vaes|vpclmulqdq)\b")
GLIBC = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
HANDLER = r"""
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

static void handle(int signal_number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *next = (const unsigned char *)registers[REG_RIP];
    if (next[-1] != 0xcc || next[0] != 0x90) {  // a trap of somebody else
        signal(SIGTRAP, SIG_DFL);
        raise(SIGTRAP);
        return;
    }
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == 7 && subleaf == 0) {  // bits by the manuals of Intel and AMD
        b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
        c &= ~(1u << 1 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 14);
        d &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~(1u << 4 | 1u << 5 | 1u << 21 | 1u << 23);
        d = 0;
    } else if (leaf == 0xd && subleaf == 0) {
        a &= ~(7u << 5 | 3u << 17);
    } else if (leaf == 0x24) {
        a = b = c = d = 0;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigaction(SIGTRAP, &action, 0);
}
"""


def code_sections(path: Path) -> Iterator[tuple[int, int]]:
    """Yield offset and size of a shared object's machine code; nothing of any other file."""
    with path.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return
        elf = ELFFile(stream)
        if elf.header.e_machine == "EM_X86_64":
            for section in elf.iter_sections():
                if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and section["sh_type"] != "SHT_NOBITS":
                    yield section["sh_offset"], section["sh_size"]


def is_instruction(decoder: capstone.Cs, code: bytes, place: int) -> bool:
    """Return whether an instruction begins at `place`, by most of several decodings that begin before it."""
    meeting = 0
    starts = [max(0, place - back) for back in (200, 160, 128, 100, 90, 77, 64, 50, 40)]
    for at in starts:
        while at < place:
            instruction = next(decoder.disasm(code[at : at + 15], 0, 1), None)
            at += instruction.size if instruction else 1
        meeting += at == place
    return 2 * meeting > len(starts)


def replace_cpuid(root: Path) -> int:
    """Replace the instructions in the programs and shared objects below a folder; return how many."""
    decoder, count = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64), 0
    for path in sorted(one for one in root.rglob("*") if one.is_file() and not one.is_symlink()):
        for offset, size in code_sections(path):
            with path.open("r+b") as stream:
                stream.seek(offset)
                code = stream.read(size)
                for found in re.finditer(re.escape(CPUID), code):
                    if is_instruction(decoder, code, found.start()):
                        stream.seek(offset + found.start())
                        stream.write(TRAP)
                        count += 1
    return count


def main(folder: Path, *targets: str) -> int:
    """Clone, install, replace and run; return the status of make."""
    folder.mkdir(parents=True, exist_ok=True)
    clone, handler, cpuinfo, preload = (folder / name for name in ("clone", "handler.so", "cpuinfo", "preload"))
    subprocess.run(["git", "clone", "-q", Path(__file__).parents[1], clone], check=True)
    subprocess.run(["make", ".venv/installed"], cwd=clone, check=True)
    compilers = {}  # PyTorch compiles with -march=native
    for name in ("gcc", "g++"):
        program = Path(shutil.which(name) or name).resolve()
        compilers[Path(shutil.copy(program, folder)).resolve()] = str(program)
    print(replace_cpuid(folder), "instructions replaced", flush=True)
    gcc = ["gcc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", handler]
    subprocess.run(gcc, input=HANDLER, text=True, check=True)
    cpuinfo.write_text(HIDDEN.sub("", Path("/proc/cpuinfo").read_text()))
    preload.write_text(f"{handler.resolve()}\n")
    Path("/etc/ld.so.preload").touch()  # for processes with an empty environment, too
    mounts = {cpuinfo.resolve(): "/proc/cpuinfo", preload.resolve(): "/etc/ld.so.preload", **compilers}
    script = "".join(f"mount --bind '{source}' {target} && " for source, target in mounts.items())
    command = ["unshare", "-m", "sh", "-c", f'{script} {GLIBC} exec make "$@"', "make", *(targets or ("test",))]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder.resolve() / "compiled")}  # not what is there
    return subprocess.run(command, cwd=clone, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
