#!/bin/sh
# Puts ONNX Runtime's C/C++ API headers into a folder, on Debian and its relatives, without touching the system.
#
#   fetch_ort_headers.sh DESTINATION        (default: build/ort-headers beside this checkout)
#
# The headers are those of the package libonnxruntime-dev, which the trixie suite has and older ones lack. The mirror is
# the one this machine already uses: its own apt sources are read, and a private list with the suite trixie is derived
# from them. Lists, caches and state are private too, so nothing is installed, upgraded or remembered by the system.
# Afterwards DESTINATION/include/onnxruntime_c_api.h exists; when it already does, nothing is downloaded.
set -eu

package=libonnxruntime-dev
suite=trixie
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
destination=${1:-$root/build/ort-headers}

say() { printf '%s\n' "fetch_ort_headers: $*" >&2; }
fail() { say "$*"; exit 1; }

if [ -f "$destination/include/onnxruntime_c_api.h" ]; then
    say "already there: $destination/include"
    exit 0
fi
for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null 2>&1 ||
        fail "$tool is missing, so this is no Debian; set ONNXRUNTIME_INCLUDE_DIR to a folder with onnxruntime_c_api.h"
done

# One "URI<TAB>keyring" line for every Debian archive named in the machine's sources (security and backports archives
# do not carry the package and are left out; a keyring may be absent).
archives() {
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        awk '
            function flush(   i) {
                if (types ~ /deb/ && components ~ /main/ && enabled !~ /no/)
                    for (i = 1; i <= count; i++) print uris[i] "\t" key
                types = components = key = enabled = ""; count = 0
            }
            /^#/ { next }
            /^[[:space:]]*$/ { flush(); next }
            {
                field = tolower($1)
                if (field == "types:") types = $0
                else if (field == "components:") components = $0
                else if (field == "enabled:") enabled = tolower($2)
                else if (field == "signed-by:") key = $2
                else if (field == "uris:") for (i = 2; i <= NF; i++) uris[++count] = $i
            }
            END { flush() }
        ' "$file"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        awk '
            $1 != "deb" { next }
            {
                key = ""
                for (i = 2; i <= NF; i++) {
                    if (match($i, /signed-by=[^] ,]+/)) key = substr($i, RSTART + 10, RLENGTH - 10)
                    if ($i ~ /^[a-z+]+:/ && $i !~ /=/) { print $i "\t" key; break }
                }
            }
        ' "$file"
    done
}

work=$(mktemp -d "${TMPDIR:-/tmp}/ort-headers.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/download"
: >"$work/status"

archives | grep -v -e security -e backports | awk '!seen[$0]++' | grep -e '/debian/*[[:space:]]' >"$work/archives" || true
[ -s "$work/archives" ] || fail "no Debian archive among this machine's apt sources; set ONNXRUNTIME_INCLUDE_DIR"
tab=$(printf '\t')
while IFS="$tab" read -r uri key; do
    option=
    [ -n "$key" ] && [ -f "$key" ] && option="[signed-by=$key] "
    printf 'deb %s%s %s main\n' "$option" "$uri" "$suite"
done <"$work/archives" >"$work/sources.list"

private() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work/cache" -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root \
        -o Acquire::Languages=none "$@" >&2
}

say "reading the package lists of $suite (private, about 10 MB)"
private update || fail "apt could not read the lists of $suite from this machine's mirror"
(cd "$work/download" && private download "$package") || fail "apt could not download $package from $suite"
dpkg -x "$work"/download/"$package"_*.deb "$work/unpacked"
header=$(find "$work/unpacked" -name onnxruntime_c_api.h | head -n 1)
[ -n "$header" ] || fail "$package holds no onnxruntime_c_api.h"

# Copied to a temporary name first: a folder that exists is complete.
mkdir -p "$destination"
rm -rf "$destination/include.part" "$destination/include"
cp -RL "$(dirname -- "$header")" "$destination/include.part"
mv "$destination/include.part" "$destination/include"
say "headers are in $destination/include"
