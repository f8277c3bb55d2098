# SPDX-License-Identifier: MIT
# Read by scripts that need single packages of other Debian releases or architectures: apt downloads
# them with a configuration and state of its own, so that neither the system's package lists nor its
# architectures change. The mirror is the one that the system's apt knows.
#
#   debian_begin FOLDER SUITE ARCHITECTURE    chooses; FOLDER keeps the lists and the packages for
#                                             next time
#   debian_fetch PACKAGE...                   downloads into FOLDER/packages what is not there yet
#   debian_unpack TARGET PACKAGE...           the same, and unpacks below TARGET
#   debian_source PACKAGE                     downloads a source package into FOLDER/sources
#   debian_dependency PACKAGE PATTERN         prints the first dependency whose name matches the
#                                             pattern (of grep)
#
# Each returns 1 with the reason in $debian_why where it can't.
# shellcheck shell=sh

# Prints the address of the system's Debian mirror; nothing on other systems.
debian_mirror() {
  # The names in the format are apt's, not the shell's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
    'Label: Debian' 2>/dev/null | head -n 1
}

# debian_apt apt-get|apt-cache ARGUMENT...
debian_apt() {
  program=$1
  shift
  "$program" -q -o Dir::State="$debian_state" -o Dir::State::lists="$debian_state/lists" \
    -o Dir::State::status="$debian_state/status" -o Dir::Cache="$debian_state" \
    -o Dir::Etc::sourcelist="$debian_state/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferencesparts=- -o APT::Sandbox::User=root \
    -o APT::Architecture="$debian_architecture" -o APT::Architectures="$debian_architecture" "$@"
}

# Prints the first error of the last call.
debian_error() { grep '^E:' "$debian_state/log" | head -n 1; }

debian_begin() {
  debian_folder=$1 debian_suite=$2 debian_architecture=$3
  debian_state=$debian_folder/apt-$debian_suite-$debian_architecture
  command -v apt-get >/dev/null || { debian_why="apt-get is not here"; return 1; }
  mirror=$(debian_mirror)
  if [ -z "$mirror" ]; then
    debian_why="apt knows no Debian mirror (or has no package lists yet: apt-get update)"
    return 1
  fi
  mkdir -p "$debian_state/lists/partial" "$debian_folder/packages" "$debian_folder/sources" ||
    return 1
  : >"$debian_state/status"
  printf 'deb %s %s main\ndeb-src %s %s main\n' \
    "$mirror" "$debian_suite" "$mirror" "$debian_suite" >"$debian_state/sources.list"
  [ -e "$debian_state/updated" ] && return 0
  if ! debian_apt apt-get update >"$debian_state/log" 2>&1; then
    debian_why="the package lists of $debian_suite ($debian_architecture) can't be had"
    debian_why="$debian_why: $(debian_error)"
    return 1
  fi
  : >"$debian_state/updated"
}

# Prints the file of a package that was downloaded.
debian_file() {
  version=$(debian_apt apt-cache show --no-all-versions "$1" 2>/dev/null |
    sed -n 's/^Filename: .*\///p' | head -n 1)
  for candidate in "$debian_folder/packages/${1}"_*; do
    # Apt writes an epoch's colon as %3a, the mirror leaves the epoch out.
    case $(basename "$candidate" | sed 's/_[0-9]*%3a/_/') in
      "$version") echo "$candidate"; return ;;
    esac
  done
}

debian_fetch() {
  for wanted; do
    [ -z "$(debian_file "$wanted")" ] || continue
    if ! (cd "$debian_folder/packages" && debian_apt apt-get download "$wanted") \
      >"$debian_state/log" 2>&1; then
      debian_why="$wanted of $debian_suite ($debian_architecture) can't be had: $(debian_error)"
      return 1
    fi
  done
}

debian_unpack() {
  target=$1
  shift
  debian_fetch "$@" || return 1
  mkdir -p "$target"
  for wanted; do
    if ! dpkg-deb -x "$(debian_file "$wanted")" "$target"; then
      debian_why="$wanted can't be unpacked"
      return 1
    fi
  done
}

debian_source() {
  if ! (cd "$debian_folder/sources" && debian_apt apt-get source --download-only "$1") \
    >"$debian_state/log" 2>&1; then
    debian_why="the source of $1 in $debian_suite can't be had: $(debian_error)"
    return 1
  fi
}

debian_dependency() {
  debian_apt apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Depends: //p' |
    tr ',|' '\n\n' | sed 's/^ *//; s/ .*//' | grep -m 1 -e "$2"
}
