# SPDX-License-Identifier: MIT
# What doxygen reads instead of a page of src/docs/. A line that is nothing but a link to a section
# of README.md becomes that section, and one to a source of the command its usage: each text stands
# in one place. Pages get names, the guide has its chapters below it, and links to files that are
# not in the reference become their names.

# Text with links to other pages only.
function unlinked(text, out, link, target, rest) {
  out = ""
  while (match(text, /\[[^]]*\]\([^)]*\)/)) {
    link = substr(text, RSTART + 1, RLENGTH - 2)
    rest = substr(text, RSTART + RLENGTH)
    target = link
    sub(/^.*\]\(/, "", target)
    out = out substr(text, 1, RSTART - 1)
    sub(/\]\(.*/, "", link)
    if (target ~ /^(src\/docs\/)?[a-z_]+\.md$/) {
      gsub(/^src\/docs\/|\.md$/, "", target)
      out = out (out == "- " && FILENAME ~ /guide\.md$/ ? "\\subpage" : "\\ref")
      out = out " page_" target " \"" link "\""
    } else if (target ~ /^https?:/) {
      out = out "[" link "](" target ")"
    } else {
      out = out link
    }
    text = rest
  }
  return out text
}

# A heading's anchor, as on the web: "Threads, forks, loops" is "threads-forks-loops".
function anchor_of(heading) {
  heading = tolower(heading)
  sub(/^#+ +/, "", heading)
  gsub(/[^a-z0-9 -]/, "", heading)
  gsub(/ /, "-", heading)
  return heading
}

function fail(text) {
  print FILENAME ": " text >"/dev/stderr"
  exit 1
}

# Prints the section of the document that has this anchor, without its heading.
function print_section(document, anchor, line, level, is_in, is_fenced) {
  while ((getline line <document) > 0) {
    if (line ~ /^```/) {
      is_fenced = !is_fenced
    }
    if (line ~ /^##* / && !is_fenced) {
      match(line, /^#+/)
      if (is_in && RLENGTH <= level) {
        break
      }
      if (!is_in && anchor_of(line) == anchor) {
        is_in = 1
        level = RLENGTH
        continue
      }
    }
    if (is_in) {
      print is_fenced ? line : unlinked(line)
    }
  }
  close(document)
  if (!is_in) {
    fail(document " has no section #" anchor)
  }
}

# Prints the text that stands in a source as `usage`.
function print_usage(source, line, text, is_in, is_line) {
  print "```"
  while ((getline line <source) > 0) {
    if (line ~ /^static const char usage\[\] =/) {
      is_in = 1
    } else if (is_in && match(line, /".*"/)) {
      text = substr(line, RSTART + 1, RLENGTH - 2)
      gsub(/\\"/, "\"", text)
      is_line = sub(/\\n$/, "", text)
      printf "%s%s", text, is_line ? "\n" : ""
    }
    if (is_in && line ~ /;$/) {
      break
    }
  }
  close(source)
  print "```"
  if (!is_in) {
    fail(source " has no usage")
  }
}

/^```/ { is_code = !is_code }
!is_code && /^\[[^]]*\]\([^)]*\)$/ {
  target = $0
  sub(/^.*\]\(/, "", target)
  sub(/\)$/, "", target)
  path = FILENAME
  sub(/[^\/]*$/, "", path)
  if (target ~ /README\.md#/) {
    anchor = target
    sub(/#.*/, "", target)
    sub(/.*#/, "", anchor)
    print_section(path target, anchor)
    next
  }
  if (target ~ /\/cli\/[a-z]+\.c$/) {
    print_usage(path target)
    next
  }
}

FNR == 1 && /^# / && FILENAME !~ /\/uvdio\.md$/ {
  stem = FILENAME
  gsub(/^.*\/|\.md$/, "", stem)
  $0 = $0 " {#page_" stem "}"
}
{ print is_code ? $0 : unlinked($0) }
