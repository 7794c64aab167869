"""A daemon whose disk hangs and whose clock jumps, as a test says."""

import shutil
import subprocess
from pathlib import Path

from daemon_support import Site
from patience_support import PATIENCE_S

# Stands before libc's `fdatasync` and its clock, and does what the files named say: a sync hangs
# while the one exists, and the clock is off by as many seconds as the other holds.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (access(getenv("HANG_FILE"), F_OK) == 0) usleep(1000);
    return real(descriptor);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *path = getenv("JUMP_FILE");
    if (result || id != CLOCK_REALTIME || !path) return result;
    char text[32] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return result;
    if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atoll(text);
    close(file);
    return result;
}
"""


def build_shim(root: Path) -> Path | None:
    """The shim as a library under `root`; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, library = root / "shim.c", root / "shim.so"
    source.write_text(SHIM)
    build = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True, capture_output=True, timeout=PATIENCE_S)
    return library


class ShimSite(Site):
    """A site whose daemon's disk can hang and whose clock can jump."""

    def __init__(self, root: Path, shim: Path, config: str | None = None) -> None:
        super().__init__(root, config)
        self.hang_file, self.jump_file = root / "hang", root / "jump"
        self.environment = {
            "LD_PRELOAD": str(shim),
            "HANG_FILE": str(self.hang_file),
            "JUMP_FILE": str(self.jump_file),
        }

    def jump(self, seconds: int) -> None:
        """From now on the clock is off by so much."""
        fresh = self.jump_file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self.jump_file)
