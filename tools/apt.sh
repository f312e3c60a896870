#!/bin/bash
# Installs those of the named Debian packages that are missing: tools/apt.sh PACKAGE...
# No service of theirs is started or enabled. Quiet where nothing is missing; the whole log where apt fails.
set -euo pipefail

missing=()
for package in "$@"; do
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "tools/apt.sh: this machine has no apt-get; install what stands for these by its own means: ${missing[*]}" >&2
  exit 1
fi
if ((EUID != 0)); then exec sudo "$0" "${missing[@]}"; fi

echo "installing ${missing[*]}" >&2
# What starts with the machine, as links of the two ways to say so.
list_enabled() { find /etc -path '/etc/rc2.d/S*' -o -path '/etc/systemd/system/*.wants/*' | sort; }

log=$(mktemp)
before=$(mktemp)
policy=
trap 'rm -f "$log" "$before" $policy' EXIT
list_enabled >"$before"
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
  policy=/usr/sbin/policy-rc.d
  printf '#!/bin/sh\nexit 101\n' >$policy  # Debian policy 9.3.3: 101 forbids a package to start its service
  chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  echo "tools/apt.sh: apt-get could not install ${missing[*]}; its words are above" >&2
  exit 1
fi
comm -13 "$before" <(list_enabled) | while read -r link; do
  case $link in
    /etc/rc2.d/S*) update-rc.d "${link#/etc/rc2.d/S??}" disable ;;
    *) rm --force "$link" ;;
  esac
done
