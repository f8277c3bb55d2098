# SPDX-License-Identifier: MIT
# What doxygen reads instead of a public header: enumerators that come from a list of X() stand
# there with their texts, and errors have a paragraph of their own.

# The list: a name, and its text somewhere behind it.
/^#define UVDIO_[A-Z]+_MAP\(X\)/ { list = $2; sub(/\(.*/, "", list); is_list = 1 }
is_list {
  if (match($0, /X\([A-Z_]+/)) {
    entry = ++count[list]
    name[list, entry] = substr($0, RSTART + 2, RLENGTH - 2)
    code[list, entry] = match($0, /-[0-9]+/) ? " = " substr($0, RSTART, RLENGTH) : ""
  }
  if (match($0, /".*"/)) {
    text[list, entry] = substr($0, RSTART + 1, RLENGTH - 2)
  }
  is_list = /\\$/
}

# Its use: the prefix of the enumerators stands in the line before.
/^#define UVDIO_[A-Z]+_ENUM_\(/ {
  prefix = $0
  sub(/##.*/, "", prefix)
  sub(/.*\) /, "", prefix)
  print ""
  next
}
/^#undef UVDIO_[A-Z]+_ENUM_/ { print ""; next }
/^ *UVDIO_[A-Z]+_MAP\(UVDIO_[A-Z]+_ENUM_\)/ {
  list = $1
  sub(/\(.*/, "", list)
  for (i = 1; i <= count[list]; i++) {
    printf "%s%s%s, /**< %s */ ", prefix, name[list, i], code[list, i], text[list, i]
  }
  print ""
  next
}

# The namespace of a version of C++, whose names are those of uvdio.
/^inline namespace UVDIO_HPP_NAMESPACE_ \{/ || /^}  \/\/ namespace UVDIO_HPP_NAMESPACE_/ {
  print ""
  next
}

/\*/ {
  sub(/Errors: /, "@errors ")
  sub(/Errors returned: /, "@returned ")
  sub(/Errors delivered: /, "@delivered ")
}
{ print }
