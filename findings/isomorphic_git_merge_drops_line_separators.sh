#!/bin/sh
# If both branches change a file, isomorphic-git's merge drops characters from lines that nobody changed: a carriage
# return that does not end a line (captured progress output, a fixture for a parser), the first one of CR CR LF, and the
# line separators U+2028 and U+2029 (in JavaScript and JSON strings). It takes lines from a regular expression whose
# `.` and `$` treat these as line ends, and puts them together without what is in between. The merge is reported as
# clean. git merges the same files without loss.
#
# Seen with isomorphic-git 1.44.19 and git 2.47.3; the branches change the first and the last of ten lines:
#   git 2.47.3, CR in a line: merged, unchanged lines kept
#   git 2.47.3, CR CR LF: merged, unchanged lines kept
#   git 2.47.3, U+2028: merged, unchanged lines kept
#   isomorphic-git 1.44.19, CR in a line: merged, 1 byte of an unchanged line lost
#   isomorphic-git 1.44.19, CR CR LF: merged, 1 byte of an unchanged line lost
#   isomorphic-git 1.44.19, U+2028: merged, 3 bytes of an unchanged line lost
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" isomorphic-git@1.44.19 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name a
git config --global user.email a@example.com
cat > merge.cjs <<'MERGE'
const fs = require('fs');
const git = require('isomorphic-git');
const author = { name: 'a', email: 'a@example.com' };
const show = (text) => process.stdout.write(`isomorphic-git ${git.version()}, ${process.argv[2]}: ${text}`);
const merge = { fs, dir: '.', ours: 'main', theirs: 'theirs', author };
git.merge(merge).then(() => show('merged'), (error) => show(error.code));
MERGE
merge_with_git() {
    git merge -q --no-edit theirs >/dev/null
    printf 'git %s, %s: merged' "$(git version | cut -d ' ' -f 3)" "$1"
}
# $1: the first line; $2: the line with the character, which both sides keep; $3: the last line
version() {
    printf '%s\n' "$1" 2 3 4
    printf "$2\n"
    printf '%s\n' 6 7 8 9 "$3"
}
# $1: the name; $2: the line; $3...: the command that merges
show() {
    name=$1 line=$2
    shift 2
    rm -rf "$work/repository"
    git init -q -b main "$work/repository"
    cd "$work/repository"
    version first "$line" last > f
    git add f
    git commit -qm base
    git checkout -q -b theirs
    version first "$line" theirs > f
    git commit -qam theirs
    git checkout -q main
    version ours "$line" last > f
    git commit -qam ours
    "$@" "$name"
    git show main:f | sed -n -e 1p -e '$p' | xargs | grep -q -x 'ours theirs'
    lost=$(($(version ours "$line" theirs | wc -c) - $(git show main:f | wc -c)))
    case $lost in
    0) echo ', unchanged lines kept' ;;
    1) echo ', 1 byte of an unchanged line lost' ;;
    *) echo ", $lost bytes of an unchanged line lost" ;;
    esac
}
for merge in merge_with_git "node $work/merge.cjs"; do
    show 'CR in a line' '10%%\r100%%' $merge
    show 'CR CR LF' 'text\r\r' $merge
    show 'U+2028' 'a = "\342\200\250"' $merge
done > "$work/output"
cat "$work/output"
[ "$(grep -c '^git .*: merged, unchanged lines kept$' "$work/output")" = 3 ]
[ "$(grep -c '^isomorphic-git .*: merged, [13] bytes\{0,1\} of an unchanged line lost$' "$work/output")" = 3 ]
