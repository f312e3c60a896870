#!/bin/bash
# Installs what klab needs on Debian 12 or later and makes `sudo klab` work as typed: tools/setup.sh [demo|test]
#   (nothing)  klab itself: Debian packages, a virtual environment in .venv, /usr/local/bin/klab, shell completion
#   demo       the same, then brings up a scenario and sends a request inside a pod
#   test       the same with the development tools and CoreDNS, then runs every check and test
# Asks for root by sudo where it is not root; may be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

runtime=(
  bind9-dnsutils              # dig and nslookup inside pods
  conntrack                   # reading the connection table
  containernetworking-plugins # network.plugin: plugin
  curl
  haproxy                     # ingress.controller: haproxy
  ipset                       # kube-proxy's sets in ipvs mode
  iptables
  iproute2
  iputils-ping
  ipvsadm                     # reading ip_vs as the slides do
  kmod                        # loading br_netfilter
  nftables
  procps
  python3-venv
  sudo
  tcpdump                     # looking at packets inside nodes and pods
)

# install_venv EXTRA: .venv holds klab and, with EXTRA, its [EXTRA] dependencies; nothing to do until pyproject.toml changes.
install_venv() {
  local stamp=.venv/.installed${1:+-$1}
  if [[ -e $stamp && ! pyproject.toml -nt $stamp ]]; then return; fi
  echo "installing klab${1:+ and its $1 tools} into .venv" >&2
  [[ -x .venv/bin/pip ]] || /usr/bin/python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}"
  .venv/bin/python -m compileall -q klab # or root would, and own the files
  touch "$stamp"
}

# sudo looks for programs in its secure_path only, which knows no virtual environment.
install_command() {
  if [[ $(readlink /usr/local/bin/klab) == "$PWD/.venv/bin/klab" ]]; then return; fi
  echo "installing /usr/local/bin/klab and its completion for bash, zsh and fish" >&2
  local shell
  for shell in bash:bash-completion/completions/klab zsh:zsh/site-functions/_klab fish:fish/vendor_completions.d/klab.fish; do
    .venv/bin/klab completion "${shell%%:*}" | as_root install -D --mode 644 /dev/stdin "/usr/local/share/${shell#*:}"
  done
  as_root ln --symbolic --force --no-target-directory "$PWD/.venv/bin/klab" /usr/local/bin/klab
}

# load_modules: what the kernel does not load by itself when klab asks for it, now and at every start of the machine. With br_netfilter loaded the host's
# own bridges would show their packets to the host's iptables too: that is switched off again, labs have settings of their own.
load_modules() {
  if [[ -e /proc/sys/net/bridge ]] || ! as_root modprobe --quiet br_netfilter; then return; fi
  echo "loading br_netfilter, for Services on bridged pod networks" >&2
  echo br_netfilter | as_root install --mode 644 /dev/stdin /etc/modules-load.d/klab.conf
  printf 'net.bridge.bridge-nf-call-%s = 0\n' iptables ip6tables arptables | as_root install --mode 644 /dev/stdin /etc/sysctl.d/60-klab.conf
  as_root sysctl --quiet --load /etc/sysctl.d/60-klab.conf
}

case ${1:-} in
  '') packages=("${runtime[@]}") extra='' ;;
  demo) packages=("${runtime[@]}" make) extra='' ;;
  test) packages=("${runtime[@]}" make git shellcheck nginx-light openssl) extra=dev ;;
  *) echo "usage: tools/setup.sh [demo|test]" >&2; exit 2 ;;
esac
tools/apt.sh "${packages[@]}"
install_venv "$extra"
install_command
load_modules
if [[ ${1:-} == test ]] && ! command -v coredns >/dev/null; then tools/coredns.sh; fi
if [[ ${1:-} ]]; then exec make --no-print-directory "$1"; fi
