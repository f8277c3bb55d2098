# SPDX-License-Identifier: MIT
# Read by scripts that build and test with another release of the distribution, in the project's
# root: a folder tree that debootstrap makes in build/ from the mirror that the system's own apt
# knows, and that stays for the next time.
#
#   chroot_suite ALIAS         prints the code name of the release: next (after this one), stable,
#                              testing, unstable
#   chroot_begin SUITE [NAME]  makes build/chroot-SUITE, or build/chroot-NAME, where it is not there
#   chroot_setup               installs there what building and testing need
#   chroot_run COMMAND...      runs a command there, in /uvdio, which is this tree with a folder
#                              build/ of its own: build/in-chroot-SUITE
#
# Each returns 1 with the reason in $chroot_why where it can't (chroot_suite prints nothing). What
# is mounted is seen by nobody else, and gone when the command ends, however it does.
# shellcheck shell=sh

# shellcheck source=test/lib/debian.sh
. test/lib/debian.sh

# Prints by which name, apart from its code name, the mirror calls this release: oldstable, stable,
# ...
chroot_own_alias() {
  # The name in the format is apt's, not the shell's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(SUITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
    2>/dev/null |
    grep -v -e '-' | head -n 1
}

chroot_next_alias() {
  case $(chroot_own_alias) in
    oldoldstable) echo oldstable ;;
    oldstable) echo stable ;;
    stable) echo testing ;;
    testing) echo unstable ;;
  esac
}

chroot_suite() {
  chroot_alias=$1
  [ "$1" != next ] || chroot_alias=$(chroot_next_alias)
  [ -n "$chroot_alias" ] || return 1
  chroot_mirror=$(debian_mirror)
  mkdir -p build
  chroot_release=build/release-$chroot_alias
  /usr/lib/apt/apt-helper download-file "${chroot_mirror%/}/dists/$chroot_alias/Release" \
    "$chroot_release.new" \
    >/dev/null 2>&1 && mv "$chroot_release.new" "$chroot_release"
  [ -e "$chroot_release" ] || return 1
  sed -n 's/^Codename: //p' "$chroot_release"
}

# Says what is missing for any of it; nothing where all is there.
chroot_obstacle() {
  PATH=$PATH:/usr/sbin:/sbin
  if [ "$(uname -s)" != Linux ] || ! command -v apt-get >/dev/null; then
    echo "this is no Debian system"
    return
  fi
  [ "$(id -u)" -eq 0 ] || { echo "debootstrap and chroot take root"; return; }
  command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; return; }
  unshare -m true 2>/dev/null || { echo "mount namespaces are denied"; return; }
  [ -n "$(debian_mirror)" ] ||
    echo "apt knows no Debian mirror (or has no package lists yet: apt-get update)"
}

# A tree that is not whole never gets its name.
chroot_begin() {
  chroot_why=$(chroot_obstacle)
  [ -z "$chroot_why" ] || return 1
  chroot_name=${2:-$1}
  chroot_root=$PWD/build/chroot-$chroot_name
  mkdir -p "build/in-chroot-$chroot_name"
  [ ! -d "$chroot_root" ] || return 0
  chroot_log=build/in-chroot-$chroot_name/debootstrap.log
  rm -rf --one-file-system "$chroot_root.new"
  # A release that is younger than debootstrap has no script there; the unstable one's is that of
  # all of them.
  set -- "$1" "$chroot_root.new" "$(debian_mirror)"
  [ -e "/usr/share/debootstrap/scripts/$1" ] || set -- "$@" sid
  # What it mounts would stay where it is stopped.
  if ! unshare -m --propagation private debootstrap --variant=minbase "$@" >"$chroot_log" 2>&1; then
    chroot_why="debootstrap does not get $1: $(grep -e '^E: ' "$chroot_log" | head -n 1)"
    return 1
  fi
  mkdir -p "$chroot_root.new/uvdio"
  mv "$chroot_root.new" "$chroot_root"
}

chroot_run() {
  # The words are expanded by the inner shell.
  # shellcheck disable=SC2016
  unshare -m --propagation private sh -c '
    root=$1 build=$2
    shift 2
    # Tests make / private, which takes a place where something is mounted
    mount --bind "$root" "$root" &&
      mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" &&
      mount --rbind /sys "$root/sys" &&
      mount --bind . "$root/uvdio" && mount --bind "$build" "$root/uvdio/build" || exit 1
    [ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    exec chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      TMPDIR=/tmp \
      sh -c "cd /uvdio && exec \"\$@\"" sh "$@"' \
    sh "$chroot_root" "build/in-chroot-$chroot_name" "$@"
}

# An installation that was stopped goes on.
chroot_setup() {
  chroot_log=build/in-chroot-$chroot_name/setup.log
  if ! chroot_run sh -c 'dpkg --configure -a && sh cmake/setup.sh' >"$chroot_log" 2>&1; then
    chroot_why="the packages of $chroot_name can't be had: $(tail -n 1 "$chroot_log")"
    return 1
  fi
}
