# SPDX-License-Identifier: MIT
# Prints what src/cli/completions/_uvdio offers for a line, one a line: an interactive shell on a
# pseudo terminal is given the line and a tab, and its compadd tells the words instead of adding
# them; with some options compadd fills arrays, and adds nothing. DUMP is made at the first
# time, for compinit.
#
#   zsh -f test/cli/complete.zsh DUMP FILE 'uvdio copy --'
zmodload zsh/zpty || exit 77
zpty shell zsh -f -i
zpty -w shell "PROMPT= PS2= RPROMPT=
fpath=(${(q)2:h} \$fpath)
autoload -Uz compinit && compinit -u -d ${(q)1}
setopt no_list_beep
zstyle ':completion:*' verbose no
compadd() {
  local -a offered
  if [[ \${@[1,(i)(-|--)]} == *-[A-Za-z12]#[OAD]* ]]; then
    builtin compadd \"\$@\"
    return
  fi
  builtin compadd -O offered \"\$@\"
  (( \$#offered == 0 )) || print -rl -- 'offered '\$^offered
  builtin compadd \"\$@\"
}
tell() { print; _main_complete; print finish; exit }
zle -C tell complete-word tell
bindkey '^I' tell
print ready"
while zpty -r shell answer && [[ $answer != *ready$'\r'* || $answer == *print* ]]; do :; done
zpty -w -n shell "$3"$'\t'
while zpty -r shell answer && [[ $answer != *finish* ]]; do
  answer=${answer%%[$'\r\n']*}
  [[ $answer != offered\ * ]] || print -r -- "${answer#offered }"
done
zpty -d shell
