#!/bin/sh
# deps.sh WHAT - name what is missing on this machine, and install it where we may.
#   build: what the program needs.  test-all: what the long tests need besides.
set -u

missing=
want() { # COMMAND-THAT-SUCCEEDS-IF-THERE PACKAGE...
    check=$1; shift
    sh -c "$check" >/dev/null 2>&1 || missing="$missing $*"
}

want 'command -v gcc' gcc libc6-dev
want 'test -e /usr/include/stdio.h' libc6-dev
want 'command -v pkg-config' pkg-config
want 'pkg-config --exists ncursesw || ls /usr/lib/*/pkgconfig/ncursesw.pc' libncurses-dev
want 'pkg-config --exists lua5.4 || ls /usr/lib/*/pkgconfig/lua5.4.pc' liblua5.4-dev
want 'test -e /usr/share/terminfo/x/xterm-direct' ncurses-term
if [ "$1" = test-all ]; then
    want 'command -v clang' clang
    want 'ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' libclang-rt-14-dev
    want 'command -v aarch64-linux-gnu-gcc' gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    want 'command -v valgrind' valgrind
    want 'command -v objdump' binutils
    want 'command -v qemu-aarch64 || command -v qemu-aarch64-static' qemu-user
fi
missing=$(for p in $missing; do echo "$p"; done | sort -u | tr '\n' ' ')
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "cutaway: this system lacks (by their Debian names): $missing" >&2
    echo "cutaway: install them with its package manager, then run make again" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then root=
elif sudo -n true 2>/dev/null; then root=sudo
else
    echo "cutaway: missing packages: $missing" >&2
    echo "cutaway: run this, then make again:  sudo apt-get install $missing" >&2
    exit 1
fi
echo "cutaway: installing with apt-get: $missing"
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
