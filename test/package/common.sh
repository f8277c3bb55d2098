# SPDX-License-Identifier: MIT
# What the scripts of this folder share. Each sets $subject, what its messages begin with, and
# $version, what the programs that it builds have to say.
# shellcheck shell=sh disable=SC2154 # variables that the scripts set

die() {
  echo "$subject: $*" >&2
  exit 1
}

# expect_version NAME PROGRAM: the program must run and say the version that was built.
expect_version() {
  said=$("$2") || die "$1: the program failed"
  [ "$said" = "$version" ] || die "$1: the program says '$said', not '$version'"
  echo "$subject: $1: works"
}
