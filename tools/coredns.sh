#!/bin/bash
# Builds CoreDNS, which a lab with `dns: {server: coredns}` runs, and installs it: tools/coredns.sh [DIRECTORY]
# DIRECTORY is /usr/local/bin if it is not given. Nothing else stays: the build has a folder of its own (4 GB; some three minutes on two cores).
# A Go older than 1.21, as Debian 12 has it, first fetches the Go that CoreDNS asks for, from where newer ones fetch it by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.15.0
go_version=1.26.0 # the `go` line of CoreDNS' go.mod
directory=${1:-/usr/local/bin}

if [[ $("$directory/coredns" -version 2>/dev/null) == *"CoreDNS-${version#v}"* ]]; then exit 0; fi
command -v go >/dev/null || tools/apt.sh golang-go ca-certificates

echo "building CoreDNS $version" >&2
work=$(mktemp --directory --tmpdir="${TMPDIR:-/var/tmp}" coredns.XXXXXX)
trap 'rm -rf "$work"' EXIT
# Under sudo, HOME is another's; a module cache is read-only unless asked otherwise, and could then not be removed.
export HOME=$work GOPATH=$work/go GOCACHE=$work/cache GOFLAGS='-modcacherw -buildvcs=false' GOENV=off
cd "$work"
go=go
if [[ $(go env GOVERSION) =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] < 21)); then
  toolchain=golang.org/toolchain@v0.0.1-go$go_version.$(go env GOOS)-$(go env GOARCH)
  go mod download "$toolchain"
  chmod -R u+x "$GOPATH/pkg/mod/$toolchain"/{bin,pkg/tool} # zip files of modules keep no modes
  go=$GOPATH/pkg/mod/$toolchain/bin/go
fi
"$go" install -ldflags='-s -w' "github.com/coredns/coredns@$version"

if [[ -d $directory && -w $directory ]]; then as_owner=(); else as_owner=(sudo); fi
"${as_owner[@]}" install -D --mode 755 "$GOPATH/bin/coredns" "$directory/coredns"
