# SPDX-License-Identifier: MIT
# Completion of the command `uvdio` for bash: subcommands, options, and the values that an option
# has a list of. `uvdio SUBCOMMAND --help` says what they mean.
# shellcheck shell=bash disable=SC2207 # no word has a blank in it

# What begins with $current.
_uvdio_offer() {
  COMPREPLY=($(compgen -W "$1" -- "$current"))
}

# The same of the last part of a list with commas.
_uvdio_offer_list() {
  local typed=
  [[ $current != *,* ]] || typed=${current%,*},
  COMPREPLY=($(compgen -P "$typed" -W "$1" -- "${current##*,}"))
}

_uvdio_offer_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$current"))
}

_uvdio() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if [[ $current == = ]]; then # --option=value is three words
    current=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD == 1)); then
    case $current in
      -*) _uvdio_offer "--help --version" ;;
      *) _uvdio_offer "probe copy bench" ;;
    esac
    return
  fi
  case ${COMP_WORDS[1]}:$before in
    copy:--sparse) _uvdio_offer "auto always never" ;;
    copy:--backend) _uvdio_offer "auto ring aio pool" ;;
    bench:--backend) _uvdio_offer_list "ring aio pool memory" ;;
    bench:--operation) _uvdio_offer_list "write verify random-read" ;;
    copy:--depth | copy:--block) ;;
    bench:--size | bench:--block | bench:--depth | bench:--seconds | bench:--seed) ;;
    probe:--measure) _uvdio_offer_files ;;
    *)
      case ${COMP_WORDS[1]}:$current in
        probe:-*) _uvdio_offer "--json --measure --help" ;;
        copy:-*)
          _uvdio_offer "-p --preserve --in-place --sparse --verify --depth --block --backend
            --metrics --progress --no-progress --help"
          ;;
        bench:-*)
          _uvdio_offer "--size --block --depth --seconds --backend --operation --seed --metrics
            --polled --json --help"
          ;;
        probe:* | copy:* | bench:*) _uvdio_offer_files ;;
      esac
      ;;
  esac
}

complete -F _uvdio uvdio
