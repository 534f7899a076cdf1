#!/bin/sh
# Names what a fresh Debian lacks for building, each with its apt line, before anything else can fail obscurely.
python=${1:-python3}
missing=
command -v "$python" >/dev/null || missing="$missing python3 python3-venv python3-dev"
if command -v "$python" >/dev/null; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$python is older than Python 3.11" >&2; exit 1; }
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
  "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    missing="$missing python3-dev"
fi
command -v gcc >/dev/null || missing="$missing gcc"
# In every Debian, but not in every container: the demo and the embedded PostgreSQL start their processes with it.
command -v setpriv >/dev/null || missing="$missing util-linux"
[ -z "$missing" ] && exit 0
echo "missing:$missing" >&2
echo "  sudo apt-get install$missing" >&2
exit 1
