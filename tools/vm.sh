#!/bin/bash
# Runs a command as root on this machine's own file system, but under another kernel: tools/vm.sh uml|qemu COMMAND [ARG...]
#   uml   Debian's user-mode-linux, an ordinary process: up in 4 seconds, one CPU; ipip, ip_vs, dummy, netem, but no nftables nat
#   qemu  Debian's kernel by virtme-ng: everything is there; up in 30 seconds by emulation, in 3 where KVM starts it
# The exit code is the command's. What it writes stays in the VM's memory, except below build/vm, which is shared.
# Installs the packages it needs. VM_TIMEOUT (seconds, 900) ends it; nothing of it runs on, since it lives in a process namespace of its own.
set -euo pipefail

kernel=$1
shift
cd "$(dirname "$0")/.."
repo=$PWD
share=$repo/build/vm
mkdir -p "$share"
terminal=dumb
[[ -t 1 ]] && terminal=$TERM
command="cd $(printf %q "$repo") && exec env PATH=$(printf %q "$repo/.venv/bin:$PATH") PYTHONDONTWRITEBYTECODE=1 CI=${CI:-} $(printf '%q ' "$@")"

# Everything below a process namespace dies with its first process, which heeds no milder signal.
run() { timeout --signal=KILL "${VM_TIMEOUT:-900}" unshare --pid --fork --kill-child --mount-proc "$@"; }

run_uml() {
  tools/apt.sh user-mode-linux kmod
  work=$(mktemp -d --tmpdir klab-vm.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  cat >"$work/command" <<GUEST
#!/bin/bash
$command
GUEST
  # The guest's root is this file system below a layer of memory; modules come from Debian's package. Any fault ends the guest.
  cat >"$work/init" <<GUEST
#!/bin/bash
set -e
trap '"$repo/.venv/bin/python" -c "import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)"' EXIT  # LINUX_REBOOT_CMD_POWER_OFF
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=$terminal LANG=C.UTF-8
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/{upper,work,root} /mnt/lib/modules
ln -s /usr/lib/uml/modules/* /mnt/lib/modules/
modprobe --dirname /mnt -a overlay br_netfilter
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mkdir -p lib/modules
ln -s /usr/lib/uml/modules/* lib/modules/
for family in ip ip6; do  # the other variant of iptables has no nat here
  for program in '' -save -restore; do ln -sf "/usr/sbin/\${family}tables-legacy\$program" "etc/alternatives/\${family}tables\$program"; done
done
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t devpts devpts dev/pts
for memory in dev/shm run; do mount -t tmpfs tmpfs \$memory; done
pivot_root . mnt
cd /
umount --lazy /mnt
mount -t hostfs -o "$share" none "$share"
mount -t hostfs -o "$work" none /mnt
ip link set lo up
hostname klab-vm
stty -onlcr </dev/tty1
set +e
/mnt/command </dev/null >/dev/tty1 2>&1
echo \$? >/mnt/status
GUEST
  chmod +x "$work/init" "$work/command"
  # Its memory is a file in /dev/shm, which containers keep small.
  run bash -c 'mount -t tmpfs -o size=3G tmpfs /dev/shm && exec "$@"' init \
    linux.uml mem=2G rootfstype=hostfs rootflags=/ rw init="$work/init" con=null con0=null,fd:1 con1=null,fd:3 3>&1 >"$work/console" 2>&1 </dev/null || true
  [[ -s $work/status ]] || { tail -30 "$work/console" >&2; echo "vm.sh: the user-mode kernel ended before its command did, by itself or after ${VM_TIMEOUT:-900} seconds; its last lines are above" >&2; exit 125; }
  exit "$(<"$work/status")"
}

# The kernel is unpacked below build and not installed: whoever tests has a kernel to boot from.
fetch_kernel() {
  [[ -d build/kernel ]] && return
  mkdir build/kernel.part
  (
    cd build/kernel.part
    apt-get -qq download "$(apt-cache depends "linux-image-$(dpkg --print-architecture)" | sed -n 's/.*Depends: //p')" 2>/dev/null
    dpkg-deb --extract ./*.deb .
    rm ./*.deb
  )
  mv build/kernel.part build/kernel
}

run_qemu() {
  # virtme-ng reads the kernel's version by file and strings; its guest finds the ports of a command's output by udev.
  tools/apt.sh qemu-system-x86 busybox-static binutils file kmod udev
  fetch_kernel
  image=$(echo "$repo"/build/kernel/boot/vmlinuz-*)
  export PATH=$repo/.venv/bin:$PATH
  vng=(vng --run "$image" --user root --cpus "$(nproc)" --memory 2G --force-9p --rwdir="$share")
  # A /dev/kvm is no promise: nested virtualisation may refuse a stock kernel.
  if ! timeout --kill-after=1 20 "${vng[@]}" -- true &>/dev/null; then
    vng+=(--disable-kvm)
  fi
  # By a pipe, since qemu opens what it writes to once more: a log file would begin anew.
  run "${vng[@]}" -- "modprobe -a br_netfilter; $command" 2>&1 </dev/null | cat
}

case $kernel in
  uml) run_uml ;;
  qemu) run_qemu ;;
  *) echo "usage: tools/vm.sh uml|qemu COMMAND [ARG...]" >&2; exit 2 ;;
esac
