# SPDX-License-Identifier: MIT
# Completion of the command `uvdio` for fish: subcommands, options, and the values that an option
# has a list of.

complete -c uvdio -f
complete -c uvdio -n __fish_use_subcommand -l help -d 'Print the subcommands'
complete -c uvdio -n __fish_use_subcommand -l version -d 'Print versions and backends'
complete -c uvdio -n __fish_use_subcommand -a probe -d 'Backends, alignment and limits'
complete -c uvdio -n __fish_use_subcommand -a copy -d 'Copy a file past the page cache'
complete -c uvdio -n __fish_use_subcommand -a bench -d 'Measure every backend'

set -l probe 'string match -q probe -- (commandline -opc)[2]'
complete -c uvdio -n $probe -F
complete -c uvdio -n $probe -l json -d 'One JSON object'
complete -c uvdio -n $probe -l measure -rF -d 'Measure the device, and write its model to a file'
complete -c uvdio -n $probe -l help -d 'Print the options'

set -l copy 'string match -q copy -- (commandline -opc)[2]'
complete -c uvdio -n $copy -F
complete -c uvdio -n $copy -s p -l preserve -d 'Keep mode, owner and times'
complete -c uvdio -n $copy -l in-place -d 'Write into the target itself'
complete -c uvdio -n $copy -l sparse -xa 'auto always never' -d 'What becomes of holes and zeros'
complete -c uvdio -n $copy -l verify -d 'Read both files again and compare them'
complete -c uvdio -n $copy -l depth -x -d 'Requests in flight'
complete -c uvdio -n $copy -l block -x -d 'Bytes per request'
complete -c uvdio -n $copy -l backend -xa 'auto ring aio pool' -d 'What executes the requests'
complete -c uvdio -n $copy -l metrics -d 'Print where the time went'
complete -c uvdio -n $copy -l progress -d 'Show progress although stderr is no terminal'
complete -c uvdio -n $copy -l no-progress -d 'Never show progress'
complete -c uvdio -n $copy -l help -d 'Print the options'

set -l bench 'string match -q bench -- (commandline -opc)[2]'
complete -c uvdio -n $bench -F
complete -c uvdio -n $bench -l size -x -d 'Size of the file'
complete -c uvdio -n $bench -l block -x -d 'Bytes per operation'
complete -c uvdio -n $bench -l depth -x -d 'Requests in flight'
complete -c uvdio -n $bench -l seconds -x -d 'Duration of the random reads'
complete -c uvdio -n $bench -l backend -xa '(__fish_append , ring aio pool memory)' \
  -d 'What is measured'
complete -c uvdio -n $bench -l operation -xa '(__fish_append , write verify random-read)' \
  -d 'What is done'
complete -c uvdio -n $bench -l seed -x -d 'Of the bytes and of the random offsets'
complete -c uvdio -n $bench -l metrics -d 'Print where the time goes'
complete -c uvdio -n $bench -l polled -d 'Polled completions'
complete -c uvdio -n $bench -l json -d 'One array with an object per row'
complete -c uvdio -n $bench -l help -d 'Print the options'
