# SPDX-License-Identifier: MIT
# What doxygen reads instead of a public header: enumerators that come from a list of X() stand
# there with their texts, errors have a paragraph of their own, examples are code, and terms with
# their meanings beside them are a list. There are as many lines as before, so that warnings name
# the right ones.

# The list: a name, and its text somewhere behind it.
/^#define UVDIO_[A-Z]+_MAP\(X\)/ { list = $2; sub(/\(.*/, "", list); is_list = 1 }
is_list {
  if (match($0, /X\([A-Z_]+/)) {
    entry = ++count[list]
    name[list, entry] = substr($0, RSTART + 2, RLENGTH - 2)
    code[list, entry] = match($0, /-[0-9]+/) ? " = " substr($0, RSTART, RLENGTH) : ""
  }
  if (match($0, /".*"/)) {
    text[list, entry] = text[list, entry] substr($0, RSTART + 1, RLENGTH - 2)
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

# An empty line waits for the next one, which tells what it separates.
/^ \*$/ && !is_terms {
  if (is_waiting) {
    print is_code ? "" : " *"
  }
  is_waiting = 1
  next
}

# An example, and no list: five columns behind the star, after an empty line.
is_waiting && /^ \*     / && !/^ \* +([0-9]+\.|-) / {
  print is_code ? "" : " * @code{.c}"
  is_waiting = 0
  is_code = 1
}
is_code && /^ \*     / { print substr($0, 8); next }
is_code {
  if (is_waiting) {
    print " * @endcode"
    is_waiting = 0
  } else {
    sub(/^ \*/, " * @endcode")
  }
  is_code = 0
  was_waiting = 1
}

# A paragraph that opens with its subject: that one is bold.
is_waiting || was_waiting {
  if (is_waiting) {
    print " *"
  }
  is_waiting = was_waiting = 0
  if (match($0, /^ \* [A-Z][a-z-]+( [a-z]+)?( [a-z]+)?\. [^ ]/)) {
    $0 = " * **" substr($0, 4, RLENGTH - 5) "** " substr($0, RLENGTH)
  }
}

/\*/ {
  sub(/Errors:( |$)/, "@errors ")
  sub(/Errors returned:( |$)/, "@returned ")
  sub(/Errors delivered:( |$)/, "@delivered ")
}

# A term stands three columns behind the star, and two spaces at least before its meaning; one that
# ends with a comma goes on, as its meaning does, in the next line.
/^ \*   [^ ]+( [^ ]+)*   *[^ ]/ {
  line = substr($0, 6)
  match(line, /   *[^ ]/)
  term = begun_term substr(line, 1, RSTART - 1)
  meaning = begun_meaning substr(line, RSTART + RLENGTH - 1)
  begun_term = begun_meaning = ""
  if (term ~ /,$/) {
    begun_term = term " "
    begun_meaning = meaning " "
    print " * <!-- -->"
    next
  }
  is_last = sub(/\*\//, "</dd></dl> */", meaning)
  print " * " (is_terms ? "</dd>" : "<dl>") "<dt>" term "</dt><dd>" meaning
  is_terms = !is_last
  next
}
is_terms && /^ \*   / {
  sub(/^ \* +/, " * ")
  if (sub(/\*\//, "</dd></dl> */")) {
    is_terms = 0
  }
}
is_terms && !/^ \* *[^ ]/ {
  print " * </dd></dl>"
  is_terms = 0
  was_waiting = 1
  next
}
{ print }
