# SPDX-License-Identifier: MIT
# Counts test cases in the log of `ctest -V`. A cmocka program, which is one test to CTest, tells
# its cases in TAP: a plan "1..N" per group, and a line per case. Anything else is one case, by
# CTest's word.
#
#   awk -v pass=NAME -v reasons=FILE -v log_name=FILE -f count.awk LOG
#
# Prints the end of the output of what failed, a line of counts, one for each layer (what the names
# of its tests begin with) with its figures ("FIGURE number what" lines, added up), and a last line
# of three numbers (passed, failed, skipped). Appends the reason of each skip to the reasons file:
# "SKIP: reason" lines.
#
# Cases that were planned and never reported (a crash, an early exit) have failed. So has one case
# where CTest calls a program failed that reported no failure itself: a leak at exit, a time-out
# after the last case.

# The line that tells a test's end: "1/2 Test #1: name ....   Passed    0.01 sec".
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
  id = $0
  sub(/^[^#]*#/, "", id)
  sub(/:.*/, "", id)
  if ($0 ~ /   Passed +[0-9.]+ sec/) status[id] = "passed"
  else if ($0 ~ /\*\*\*Skipped/) status[id] = "skipped"
  else if ($0 ~ /\*\*\*Not Run \(Disabled\)/) status[id] = "skipped"
  else status[id] = "failed"
  if ($0 ~ /\(Disabled\)/) reason[id, ++reason_count[id]] = "disabled"
  if (match($0, /[A-Za-z: ]*\*\*\*[A-Za-z ]+/)) {
    words[id] = substr($0, RSTART, RLENGTH)
    gsub(/\*\*\*/, " ", words[id])
    gsub(/^ +| +$/, "", words[id])
  }
  note_test(id)
  next
}

# "    Start  1: name". A test that starts and never ends (CTest itself died) has failed.
/^ +Start +[0-9]+: / {
  id = $2
  sub(/:.*/, "", id)
  name[id] = $3
  note_test(id)
  next
}

# "1: output of test 1".
match($0, /^[0-9]+: /) {
  id = substr($0, 1, RLENGTH - 2)
  line = substr($0, RLENGTH + 1)
  output[id, ++lines[id]] = line
  if (line ~ /^1\.\.[0-9]+$/) {
    planned[id] += substr(line, 4)
    is_tap[id] = 1
  } else if (line ~ /^(not )?ok [0-9]+ # SKIP/) {
    # cmocka 1.1.5 says "not ok" of a skip, later ones "ok"
    skips[id]++
  } else if (line ~ /^ok [0-9]+/) {
    passes[id]++
  } else if (line ~ /^not ok [0-9]+/) {
    failures[id]++
  } else if (line ~ /^SKIP: /) {
    reason[id, ++reason_count[id]] = substr(line, 7)
  } else if (line ~ /^FIGURE [0-9]+ /) {
    split(line, words_of, " ")
    note_figure(layer_of(id), substr(line, 9 + length(words_of[2])), words_of[2])
  }
}

function note_test(id) {
  if (!(id in seen)) {
    seen[id] = 1
    order[++tests] = id
  }
}

function layer_of(id,   layer) {
  layer = name[id]
  sub(/[_.].*/, "", layer)
  if (!(layer in layer_seen)) {
    layer_seen[layer] = 1
    layers[++layer_count] = layer
  }
  return layer
}

function note_figure(layer, what, amount) {
  if (!((layer, what) in figure)) whats[layer, ++what_count[layer]] = what
  figure[layer, what] += amount
}

function show_layer(layer,   i, line, sum) {
  line = sprintf("   %-10s %5d passed, %d failed, %d skipped", layer,
    layer_passed[layer], layer_failed[layer], layer_skipped[layer])
  for (i = 1; i <= what_count[layer]; i++) {
    sum = figure[layer, whats[layer, i]]
    if (sum > 0) line = line sprintf("%s%.0f %s", i == 1 ? "; " : ", ", sum, whats[layer, i])
  }
  print line
}

# Turns what a test said into passes, failures and skips.
function judge(id,   missing) {
  if (!is_tap[id]) {
    passes[id] = status[id] == "passed"
    skips[id] = status[id] == "skipped"
    failures[id] = !passes[id] && !skips[id]
    return
  }
  missing = planned[id] - passes[id] - failures[id] - skips[id]
  if (missing > 0) {
    failures[id] += missing
    notes[id] = missing " of " planned[id] " cases never reported"
  }
  if (failures[id] == 0 && status[id] != "passed" && status[id] != "skipped") {
    failures[id] = 1
    notes[id] = "all cases reported, but the program failed"
  }
}

function show_failure(id,   first, i) {
  printf "-- %s: %s failed: %s%s\n", pass, name[id],
    words[id] ? words[id] : "Passed, says CTest", notes[id] ? "; " notes[id] : ""
  first = lines[id] > 100 ? lines[id] - 99 : 1
  if (first > 1) printf "   ... (all of it: %s)\n", log_name
  for (i = first; i <= lines[id]; i++) print "   " output[id, i]
}

END {
  for (t = 1; t <= tests; t++) {
    id = order[t]
    judge(id)
    passed += passes[id]
    failed += failures[id]
    skipped += skips[id]
    layer = layer_of(id)
    layer_passed[layer] += passes[id]
    layer_failed[layer] += failures[id]
    layer_skipped[layer] += skips[id]
    if (failures[id] > 0) show_failure(id)
    if (skips[id] > 0) {
      for (r = 1; r <= reason_count[id]; r++) print reason[id, r] >> reasons
      for (; r <= skips[id]; r++) print "no reason given, by " name[id] >> reasons
    }
  }
  if (tests == 0) {
    print "-- " pass ": no test ran; see " log_name
    failed = 1
  }
  printf "%s: %d passed, %d failed, %d skipped, in %d tests (log: %s)\n",
    pass, passed, failed, skipped, tests, log_name
  for (i = 1; i <= layer_count; i++) show_layer(layers[i])
  print passed + 0, failed + 0, skipped + 0
}
